package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"broker/access"
	"broker/access/audit"
	"broker/access/audit/chain"
	"broker/api"
	"broker/broker"
	"broker/fsm"
	"broker/telemetry"
)

// How often the cluster is told how far a node's audit log has come, and after how long without that somebody should
// know.
const (
	anchorInterval = time.Minute
	anchorLate     = 10 * time.Minute
)

// aboutAuditAnchor is the question of a node that has the head of its audit log remembered.
const aboutAuditAnchor = "audit-anchor"

// auditAnchorQuestion is that head.
type auditAnchorQuestion struct {
	Node  string `json:"node"`
	Chain string `json:"chain"`
	Seq   uint64 `json:"seq"`
	Head  []byte `json:"head"`
}

// auditAnchorAnswer says what contradicts the head; empty: it is remembered. It is no error, since those lose their kind
// on the way between nodes.
type auditAnchorAnswer struct {
	Contradiction string `json:"contradiction,omitempty"`
}

func (n *node) answerAuditAnchor(ctx context.Context, q auditAnchorQuestion) (answer auditAnchorAnswer, err error) {
	req := n.request()
	req.Actor.Node = q.Node
	_, err = n.broker.AnchorAudit(ctx, req, fsm.AnchorAudit{Node: q.Node, Chain: q.Chain, Seq: q.Seq, Head: q.Head})
	var refusal *fsm.Refusal
	if errors.As(err, &refusal) && refusal.Code == fsm.CodeAuditRewritten {
		return auditAnchorAnswer{Contradiction: refusal.Message}, nil
	}
	return answer, err
}

// openAudit begins the node's audit log. It is there before anything can make a record.
func (n *node) openAudit() error {
	c := audit.Config{
		Path: n.config.AuditFile, Node: n.config.NodeID, Version: version, Hasher: n.keyring,
		MaxSize: n.config.auditMaxSize(), MaxAge: n.config.AuditMaxAge, Keep: n.config.AuditKeep, Logger: n.log,
	}
	if n.config.AuditSyslog != "" {
		ca, err := n.config.syslogCA()
		if err != nil {
			return err
		}
		c.Syslog = &audit.Syslog{Address: n.config.AuditSyslog, CA: ca}
	}
	log, err := audit.New(c)
	if err != nil {
		return usageError{err}
	}
	n.audit = log
	n.anchors.log = log
	n.anchors.changed.Store(time.Now().UnixNano())
	return nil
}

// hearHangups has the audit log opened anew at each SIGHUP, until ctx ends.
func (n *node) hearHangups(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	n.auditing.Go(func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				n.log.Info("opening the audit log anew")
				n.audit.Reopen()
			}
		}
	})
}

// anchorAudit has the cluster remember how far the audit log has come, once a minute until ctx ends.
func (n *node) anchorAudit(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		head, due := n.anchors.due()
		if !due {
			continue
		}
		err := n.anchorHead(ctx, head)
		switch {
		case err == nil:
			n.anchors.done(head)
			told = ""
		case ctx.Err() != nil:
			return
		case n.anchors.age() > anchorLate && told != err.Error():
			told = err.Error()
			n.log.Error("the audit log has not been anchored for long: its newest part may be cut off unseen", "since", n.anchors.age().Round(time.Second).String(), "record", head.Seq, "error", err)
		case told == "" && errors.Is(err, errContradicted):
			told = err.Error()
			n.log.Error("the audit log of this node contradicts what the cluster remembers of it", "error", err, "hint", "brokerctl audit verify tells where; docs/audit.md what to do")
		default:
			n.log.Debug("anchoring the audit log", "error", err)
		}
	}
}

// errContradicted is returned when the cluster remembers another audit log of this node than it has.
var errContradicted = errors.New("the audit log was cut or written anew")

func (n *node) anchorHead(ctx context.Context, head chain.Head) error {
	question, err := json.Marshal(auditAnchorQuestion{Node: n.config.NodeID, Chain: head.Chain, Seq: head.Seq, Head: head.Hash[:]})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	data, err := n.cluster.AskLeader(ctx, aboutAuditAnchor, question)
	if err != nil {
		return err
	}
	var answer auditAnchorAnswer
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("reading the leader's answer: %w", err)
	}
	if answer.Contradiction != "" {
		return fmt.Errorf("%w: %s", errContradicted, answer.Contradiction)
	}
	return nil
}

// anchors is how far the audit log has come, and how far the cluster knows.
type anchors struct {
	log      *audit.Log
	anchored atomic.Pointer[chain.Head] // nil: nothing since the start
	changed  atomic.Int64               // since when there is something that is not anchored, in Unix nanoseconds
}

// due returns the head that the cluster does not know yet.
func (a *anchors) due() (head chain.Head, due bool) {
	head, written := a.log.Head()
	known := a.anchored.Load()
	if due = written && (known == nil || *known != head); !due {
		a.changed.Store(time.Now().UnixNano())
	}
	return head, due
}

func (a *anchors) done(head chain.Head) {
	a.anchored.Store(&head)
	a.changed.Store(time.Now().UnixNano())
}

// age is for how long there have been records that are not anchored; zero: there are none.
func (a *anchors) age() time.Duration {
	if _, due := a.due(); !due {
		return 0
	}
	return time.Since(time.Unix(0, a.changed.Load()))
}

// closeAudit ends the audit log. Nothing that makes records runs any more.
func (n *node) closeAudit(ctx context.Context) {
	if n.audit == nil {
		return
	}
	if err := n.audit.Close(ctx); err != nil {
		n.log.Warn("closing the audit log", "error", err)
	}
}

// recordedCalls adapts the audit log to what package broker tells.
type recordedCalls struct{ log *audit.Log }

func (r recordedCalls) Called(ctx context.Context, c broker.CallRecord) {
	names := make([]string, len(c.Usernames))
	for i, one := range c.Usernames {
		names[i] = string(one)
	}
	r.log.Call(ctx, access.CallRecord{
		Request: api.RequestID(ctx), Connection: c.Connection, Provider: c.Provider, Call: string(c.Call), Usernames: names, Logins: c.Logins,
		Term: c.Term, Outcome: string(c.Outcome), Took: c.Took,
	})
}

// auditFigures are what metrics show of the audit log.
func (n *node) auditFigures() (telemetry.Audit, bool) {
	if n.audit == nil {
		return telemetry.Audit{}, false
	}
	f := n.audit.Figures()
	return telemetry.Audit{
		Records: map[string]uint64{"request": f.Requests, "outcome": f.Outcomes, "call": f.Calls, "other": f.Others},
		Refused: f.Refused, Failures: f.Failures, Lost: f.Lost, Backlog: f.Backlog,
		SyslogBacklog: f.SyslogBacklog, SyslogLost: f.SyslogLost, Syslog: n.config.AuditSyslog != "", AnchorAge: n.anchors.age(),
	}, true
}

// hashForAudit returns what audit logs say instead of a value.
func (n *node) hashForAudit(value string) (string, error) { return audit.Hash(n.keyring, value) }

// auditFlags declares the options of the audit log.
func auditFlags(f *pflag.FlagSet) {
	f.String("audit-file", "", "the audit log, which is always kept; SIGHUP opens it anew (default: audit/audit.log in the data directory)")
	f.String("audit-max-size", "100MiB", "put the audit log aside when it has become this large")
	f.Duration("audit-max-age", 24*time.Hour, "put the audit log aside when it has become this old")
	f.Int("audit-keep", 30, "how many files that were put aside are kept; the oldest is removed when there is another")
	f.String("audit-syslog", "", "send a copy of each record to this syslog receiver too: tls://host:port (RFC 5424 over TLS), or tcp:// on loopback; requests are refused while it takes nothing for long")
	f.String("audit-syslog-ca", "", "who vouches for that receiver, PEM (default: whom the system trusts)")
}

// completeAudit checks the options of the audit log.
func (c config) completeAudit() (config, error) {
	if c.AuditFile == "" {
		c.AuditFile = filepath.Join(c.DataDir, "audit", "audit.log")
	}
	if c.AuditMaxSize == "" {
		c.AuditMaxSize = "100MiB"
	}
	size, err := parseSize(c.AuditMaxSize)
	switch {
	case err != nil:
		return c, wrong("audit_max_size: %q is no size: write 100MiB or 1GiB", c.AuditMaxSize)
	case size < minAuditSize:
		return c, wrong("audit_max_size: at least 1MiB, not %s", c.AuditMaxSize)
	case c.AuditMaxAge < time.Minute:
		return c, wrong("audit_max_age: at least 1m, not %s", c.AuditMaxAge)
	case c.AuditKeep < 1:
		return c, wrong("audit_keep: at least 1, not %d", c.AuditKeep)
	case c.AuditSyslog == "" && c.AuditSyslogCA != "":
		return c, wrong("audit_syslog_ca: it is of no use without audit_syslog")
	case c.AuditSyslog == "":
		return c, nil
	}
	if err := audit.CheckSyslog(c.AuditSyslog); err != nil {
		return c, wrong("audit_syslog: %w", err)
	}
	return c, nil
}

const minAuditSize = 1 << 20

func (c config) auditMaxSize() int64 {
	size, _ := parseSize(c.AuditMaxSize) // complete has checked it
	return size
}

// parseSize reads a number of bytes: 1048576, 1024KiB, 1MiB, 1GiB.
func parseSize(text string) (int64, error) {
	shift := 0
	for unit, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, shift = number, by
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, errors.New("no size")
	}
	return n << shift, nil
}

// syslogCA returns who vouches for the receiver of audit records; nil: those that the system trusts.
func (c config) syslogCA() (*x509.CertPool, error) {
	if c.AuditSyslogCA == "" {
		return nil, nil
	}
	data, err := os.ReadFile(c.AuditSyslogCA)
	if err != nil {
		return nil, fmt.Errorf("reading audit_syslog_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, wrong("audit_syslog_ca: %s holds no certificate in PEM", c.AuditSyslogCA)
	}
	return pool, nil
}

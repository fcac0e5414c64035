package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/access"
	"broker/broker"
	"broker/cluster/trust"
	"broker/fsm"
)

// socketName is the socket in the data directory by which whoever may read a node's files speaks to it.
const socketName = "brokerd.sock"

// adminTokenQuestion asks the leader to make a token known. The token itself stays at the node that asks.
type adminTokenQuestion struct {
	Accessor string        `json:"accessor"`
	Hash     []byte        `json:"hash"`
	TTL      time.Duration `json:"ttl"`
	Node     string        `json:"node"`
}

func (n *node) answerAdminToken(ctx context.Context, q adminTokenQuestion) (struct{}, error) {
	if q.TTL <= 0 || q.TTL > maxAdminTokenTTL {
		return struct{}{}, fmt.Errorf("an admin token lives %s at most", maxAdminTokenTTL)
	}
	req := n.request()
	req.Actor.Node = q.Node
	if err := n.restoreAdmin(ctx, req); err != nil {
		return struct{}{}, err
	}
	_, err := n.broker.CreateToken(ctx, req, fsm.Token{
		Accessor: fsm.TokenAccessor(q.Accessor), Hash: q.Hash, Account: adminAccount, Method: fsm.MethodHost,
		Description: "made on node " + q.Node, ExpiresAt: fsm.At(time.Now().Add(q.TTL)),
	})
	return struct{}{}, err
}

// restoreAdmin sees to it that the admin account is good for something.
func (n *node) restoreAdmin(ctx context.Context, req broker.Request) error {
	restored, err := n.broker.RestoreAdmin(ctx, req, adminAccount)
	if restored {
		n.log.Warn("the admin account was made anew, enabled or given its role for an admin token that was asked for on a node's host", "node", req.Actor.Node)
	}
	return err
}

// maxAdminTokenTTL bounds tokens that are made on a node.
const maxAdminTokenTTL = 7 * 24 * time.Hour

// madeToken answers at the socket.
type madeToken struct {
	Token string `json:"token,omitempty"`
	Login string `json:"login,omitempty"` // the command that uses it; empty: the API is in clear
	Error string `json:"error,omitempty"`
}

// serveSocket answers whoever may read this node's files: they have its keys anyway.
func (n *node) serveSocket() error {
	path := filepath.Join(n.config.DataDir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the socket of an earlier start: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		// The path may be too long for a socket; the node can do without.
		n.log.Warn("no socket for admin tokens", "path", path, "error", err)
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("guarding the socket: %w", err), listener.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /admin-token", func(w http.ResponseWriter, r *http.Request) {
		var answer madeToken
		ttl, err := time.ParseDuration(r.FormValue("ttl"))
		if err == nil {
			answer.Token, err = n.makeAdminToken(r.Context(), ttl)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		if known := n.identity.Known(); n.servesTLS() && n.config.APICertFile == "" && len(known.Authorities) > 0 {
			answer.Login = fmt.Sprintf("brokerctl login %s --ca-fingerprint %s", n.url, trust.FingerprintOf(known.Authorities[0]))
		}
		_ = json.NewEncoder(w).Encode(answer) // who went away asks again
	})
	mux.HandleFunc("POST /restore", n.serveReplace)
	n.socket = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := n.socket.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.log.Warn("serving the socket ended", "error", err)
		}
	}()
	return nil
}

func (n *node) makeAdminToken(ctx context.Context, ttl time.Duration) (string, error) {
	token, err := access.NewToken(rand.Reader)
	if err != nil {
		return "", err
	}
	hash, err := access.HashToken(n.keyring, token)
	if err != nil {
		return "", err
	}
	accessor, err := newAccessor()
	if err != nil {
		return "", err
	}
	question, err := json.Marshal(adminTokenQuestion{Accessor: string(accessor), Hash: hash, TTL: ttl, Node: n.config.NodeID})
	if err != nil {
		return "", err
	}
	if _, err := n.cluster.AskLeader(ctx, aboutAdminToken, question); err != nil {
		return "", err
	}
	return token, nil
}

func adminTokenCommand() *cobra.Command {
	var dir string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "admin-token",
		Short: "Make an admin token, on the host of a running node",
		Long: `Make an admin token. It is asked of the node that runs on this host, by whoever may read its
data directory: they have its keys anyway. It is recorded in the history. The account "admin" is made anew when it is gone,
enabled when it is disabled, and has role admin everywhere. The cluster needs a leader. Standard
output is the token alone; how to log in with it, and the fingerprint of the cluster's authority, is told beside.`,
		Example: "  brokerd admin-token --data-dir /var/lib/broker --ttl 1h",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ttl <= 0 || ttl > maxAdminTokenTTL {
				return wrong("--ttl: more than zero, at most %s", shortDuration(maxAdminTokenTTL))
			}
			made, err := askForAdminToken(cmd.Context(), dir, ttl)
			if err != nil {
				return err
			}
			if made.Login != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "to use it: %s\n", made.Login)
			}
			fmt.Fprintln(cmd.OutOrStdout(), made.Token)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir, "the running node's data directory")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the token is valid")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return cmd
}

func askForAdminToken(ctx context.Context, dir string, ttl time.Duration) (answer madeToken, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	path := filepath.Join(dir, socketName)
	client := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/admin-token", bytes.NewReader([]byte("ttl="+ttl.String())))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.RoundTrip(req)
	if err != nil {
		return answer, fmt.Errorf("asking the node at %s: %w (does it run on this host, and may you read its data directory?)", path, err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&answer); err != nil {
		return answer, fmt.Errorf("reading the node's answer: %w", err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// firstToken returns the first admin token: from the file when it is there, else a new one, which is
// written to the file when one is named.
func firstToken(path string) (string, error) {
	if path != "" {
		data, err := os.ReadFile(path)
		if err == nil {
			token := strings.TrimSpace(string(data))
			if err := access.CheckToken(token); err != nil {
				return "", fmt.Errorf("reading admin_token_file %s: %w", path, err)
			}
			return token, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("reading admin_token_file: %w", err)
		}
	}
	token, err := access.NewToken(rand.Reader)
	if err != nil || path == "" {
		return token, err
	}
	return token, writeSecret(path, token)
}

// writeSecret writes a new file that only its owner can read.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing a token into a file: %w", err)
	}
	_, err = f.WriteString(text + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

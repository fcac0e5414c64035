package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"broker/access"
	"broker/broker"
	"broker/cluster"
	"broker/cluster/trust"
	"broker/fsm"
	"broker/seal"
)

// identify finds out who this node is: what its data directory says, else the first node of a new cluster, else
// one that a cluster lets in.
func (n *node) identify(ctx context.Context) (err error) {
	c := n.config
	identity, known, err := trust.Open(c.DataDir)
	if err != nil {
		return err
	}
	if known && identity.ClusterID() == "" && identity.NodeID() != c.NodeID {
		known, identity = false, nil // no cluster has heard of it under that name
	}
	if known && c.nodeIDGiven && identity.NodeID() != c.NodeID {
		return fmt.Errorf("%w: %s belongs to node %q, but this node is configured as %q; give the node its own directory, or its own name back",
			cluster.ErrIdentity, c.DataDir, identity.NodeID(), c.NodeID)
	}
	if err := keyLost(c.DataDir, known); err != nil {
		return err
	}
	n.identity = identity
	switch {
	case known && identity.ClusterID() != "":
		n.config.NodeID = identity.NodeID()
	case c.Init:
		err = n.beginCluster()
	case len(c.Join) > 0:
		err = n.enroll(ctx)
	default:
		return mendError{errors.New("the data directory is empty: either begin a new cluster (--init) or name a member of one (--join)")}
	}
	if err != nil {
		return err
	}
	if n.keyring, err = seal.Load(c.KeyFile); err != nil {
		return err
	}
	if n.identity.Birth() == nil {
		return nil
	}
	// What is shown once must be made before it is committed.
	if n.joinToken, err = n.firstJoinToken(); err != nil {
		return err
	}
	n.adminToken, err = firstToken(c.AdminTokenFile)
	return err
}

// keyLost returns an error when a directory holds a node's data and not its key.
func keyLost(dir string, known bool) error {
	if known {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, "node.json")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%w: %s holds a node's data but no %s, which has its key: restore it, or remove the node (\"brokerctl cluster remove\") and give it an empty directory and a new join token",
		cluster.ErrIdentity, dir, trust.FileName)
}

// beginCluster makes what a new cluster begins with.
func (n *node) beginCluster() error {
	if _, err := os.Stat(n.config.KeyFile); errors.Is(err, fs.ErrNotExist) {
		if err := seal.Create(n.config.KeyFile); err != nil {
			return err
		}
		n.log.Info("made the cluster's key file", "path", n.config.KeyFile)
	}
	identity, err := trust.Create(n.config.DataDir, n.config.NodeID)
	if err != nil {
		return err
	}
	n.identity = identity
	var id [16]byte // cluster ids end up as marks in outside systems that other clusters use too
	_, _ = rand.Read(id[:])
	return identity.Begin(hex.EncodeToString(id[:]), n.config.apiNames(), time.Now())
}

// enrollQuestion is what a node says of itself that wants to become a member.
type enrollQuestion struct {
	NodeID    string    `json:"node_id"`
	Request   []byte    `json:"request"` // PKCS #10: its public key, and that it has the private one
	APINames  []string  `json:"api_names,omitempty"`
	TokenHash []byte    `json:"token_hash"`
	Version   string    `json:"version,omitempty"`
	Now       time.Time `json:"now"`
}

// enrollAnswer is all that a new member needs. It travels encrypted to whoever has a join token.
type enrollAnswer struct {
	ClusterID      string      `json:"cluster_id"`
	Certificate    []byte      `json:"certificate"`
	APICertificate []byte      `json:"api_certificate,omitempty"`
	Known          trust.Known `json:"known"`
	Keyring        []byte      `json:"keyring"`
}

// enroll has the cluster let this node in. It may be repeated: the node keeps its key.
func (n *node) enroll(ctx context.Context) error {
	text, err := n.config.readJoinToken()
	if err != nil {
		return err
	}
	token, err := trust.ParseJoinToken(text)
	if err != nil {
		return fmt.Errorf("reading the join token: %w", err)
	}
	if n.identity == nil {
		if n.identity, err = trust.Create(n.config.DataDir, n.config.NodeID); err != nil {
			return err
		}
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: n.config.NodeID}}, n.identity.Signer())
	if err != nil {
		return fmt.Errorf("making a certificate request: %w", err)
	}
	question := enrollQuestion{
		NodeID: n.config.NodeID, Request: request, APINames: n.config.apiNames(),
		TokenHash: token.Hash(), Version: version, Now: time.Now(),
	}
	n.log.Info("asking to be let into the cluster", "members", n.config.Join)
	var answer enrollAnswer
	if err := cluster.Enroll(ctx, n.config.Join, token.Authority(), n.config.timing(), n.log, question, &answer); err != nil {
		return err
	}
	if err := seal.Install(n.config.KeyFile, answer.Keyring); err != nil {
		return err
	}
	if err := n.identity.Join(answer.ClusterID, answer.Certificate, answer.APICertificate, answer.Known); err != nil {
		return err
	}
	n.log.Info("the cluster has let this node in", "cluster", answer.ClusterID)
	return nil
}

// maxClockDifference is how far a new node's clock may differ from the leader's.
const maxClockDifference = time.Minute

// answerEnrolling lets a node in, as the leader.
func (n *node) answerEnrolling(ctx context.Context, q enrollQuestion) (enrollAnswer, error) {
	var none enrollAnswer
	certify, err := x509.ParseCertificateRequest(q.Request)
	if err == nil {
		err = certify.CheckSignature()
	}
	key, ours := (*ecdsa.PublicKey)(nil), false
	if err == nil {
		key, ours = certify.PublicKey.(*ecdsa.PublicKey)
	}
	if err != nil || !ours {
		return none, cluster.JoinRefusal(errors.New("the certificate request is damaged"))
	}
	if off := time.Until(q.Now); off.Abs() > maxClockDifference {
		side := "ahead of"
		if off < 0 {
			side = "behind"
		}
		return none, cluster.JoinRefusal(fmt.Errorf("the node's clock is %s %s the leader's: have it set, e.g. by NTP, and try again", off.Abs().Round(time.Second), side))
	}
	hash, err := trust.HashKey(key)
	if err != nil {
		return none, err
	}
	if len(q.TokenHash) != len(trust.JoinToken{}.Hash()) || !fsm.ValidName(q.NodeID) {
		return none, cluster.JoinRefusal(errors.New("the request is damaged"))
	}
	enroll := fsm.EnrollNode{TokenHash: q.TokenHash, Name: q.NodeID, Key: hash[:]}
	// Strangers ask: what would be refused must not become an entry of the log.
	request := n.request()
	request.DryRun = true
	if _, err = n.broker.EnrollNode(ctx, request, enroll); err == nil {
		_, err = n.broker.EnrollNode(ctx, n.request(), enroll)
	}
	if err != nil {
		var refusal *fsm.Refusal
		if errors.As(err, &refusal) {
			err = cluster.JoinRefusal(err)
		}
		return none, err
	}
	answer := enrollAnswer{ClusterID: n.cluster.ClusterID()}
	known, authority, err := n.agreed()
	if err != nil {
		return none, err
	}
	answer.Known = known
	if answer.Certificate, err = authority.SignNode(key, answer.ClusterID, q.NodeID, time.Now()); err != nil {
		return none, err
	}
	if len(q.APINames) > 0 {
		if answer.APICertificate, err = authority.SignAPI(key, q.APINames, time.Now()); err != nil {
			return none, cluster.JoinRefusal(err)
		}
	}
	answer.Keyring = n.keyring.File()
	return answer, nil
}

// initCluster tells a new cluster what it begins with, and people how to go on.
func (n *node) initCluster(ctx context.Context, term uint64) error {
	birth := n.identity.Birth()
	if birth == nil {
		return errors.New("this cluster was begun and never initialised, and what it begins with is lost: remove the data directory and begin anew")
	}
	n.showBirth()
	hash, err := access.HashToken(n.keyring, n.adminToken)
	if err != nil {
		return err
	}
	accessor, err := newAccessor()
	if err != nil {
		return err
	}
	recovery, err := n.recovery()
	if err != nil {
		return err
	}
	known := n.identity.Known()
	authority, err := n.sealAuthority(known.Authorities[0], birth.AuthorityKey)
	if err != nil {
		return err
	}
	gossip, err := n.keyring.Seal(known.GossipKeys[0], fsm.GossipKeySeal)
	if err != nil {
		return err
	}
	roles := []fsm.RoleName{fsm.RoleAdmin}
	for _, role := range n.config.AdminRoles {
		roles = append(roles, fsm.RoleName(role))
	}
	own := known.Members[0]
	return n.broker.Init(ctx, term, broker.InitSpec{
		ClusterID: n.cluster.ClusterID(), Account: adminAccount, TokenHash: hash,
		Accessor: accessor, TokenTTL: n.config.AdminTokenTTL, Recovery: recovery, Roles: roles,
		Authority: authority, GossipKey: &fsm.RotateGossipKey{Sealed: gossip}, Node: &fsm.Node{Name: own.NodeID, Key: own.Key[:]},
		JoinToken: &broker.JoinTokenSpec{Hash: n.joinToken.Hash(), Description: "first join token", Uses: n.config.JoinTokenUses, TTL: n.config.JoinTokenTTL},
	})
}

// adminAccount is the account that a cluster begins with.
const adminAccount = "admin"

// showBirth prints what cannot be shown again, before it is committed, or in which files it stands.
func (n *node) showBirth() {
	n.shown.Do(func() {
		c, out := n.config, n.stdout
		fmt.Fprintf(out, "cluster %s begins with node %s; what follows is shown this once\n", n.identity.ClusterID(), c.NodeID)
		adminToken := n.adminToken
		if c.AdminTokenFile != "" {
			adminToken = "in the file " + c.AdminTokenFile
		}
		fmt.Fprintf(out, "\nfirst admin token, valid for %s (\"brokerd admin-token\" on a node makes another):\n  %s\n", shortDuration(c.AdminTokenTTL), adminToken)
		if n.servesTLS() {
			fmt.Fprintf(out, "\nto use it from anywhere:\n  brokerctl login %s --ca-fingerprint %s\n", n.config.APIAdvertise, n.joinToken.Authority())
		}
		join := "BROKERD_JOIN_TOKEN=" + n.joinToken.Reveal() + " brokerd server --join " + c.ClusterAdvertise
		if c.JoinTokenFile != "" {
			join = "brokerd server --join " + c.ClusterAdvertise + " --join-token-file " + c.JoinTokenFile
		}
		fmt.Fprintf(out, "\nup to %d more nodes join within %s, each on its own host, by:\n  %s\n\n", c.JoinTokenUses, shortDuration(c.JoinTokenTTL), join)
	})
}

// withBirthFiles has what is shown once written into files of the data directory where nothing else was said: a
// standard output that nobody watches is kept by a service manager, for others to read.
func (c config) withBirthFiles() config {
	for path, name := range map[*string]string{
		&c.AdminTokenFile: "first-admin-token", &c.JoinTokenFile: "first-join-token", &c.RecoveryFile: birthShares,
	} {
		if *path == "" {
			*path = filepath.Join(c.DataDir, name)
		}
	}
	return c
}

// birthShares is where recovery shares are written when nothing else was said.
const birthShares = "recovery-shares"

// shortDuration writes whole hours without minutes and seconds.
func shortDuration(d time.Duration) string {
	if d == 0 {
		return "ever"
	}
	text := d.String()
	text, _ = strings.CutSuffix(text, "0s")
	text, _ = strings.CutSuffix(text, "0m")
	return text
}

// firstJoinToken returns the join token of a new cluster: from the file when it is there, else a new one, which is
// written to the file when one is named.
func (n *node) firstJoinToken() (trust.JoinToken, error) {
	authority := trust.FingerprintOf(n.identity.Known().Authorities[0])
	path := n.config.JoinTokenFile
	if path == "" {
		return trust.NewJoinToken(authority), nil
	}
	data, err := os.ReadFile(path)
	if err == nil {
		token, err := trust.ParseJoinToken(string(data))
		if err == nil && token.Authority() == authority {
			return token, nil // of an earlier start
		}
		return token, fmt.Errorf("join_token_file %s holds something else than a join token of this cluster: remove it, and it is written anew", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return trust.JoinToken{}, fmt.Errorf("reading join_token_file: %w", err)
	}
	token := trust.NewJoinToken(authority)
	return token, writeSecret(path, token.Reveal())
}

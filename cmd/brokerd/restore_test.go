package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/cluster/trust"
)

// A node that was let in after the snapshot is no member of the restored cluster, which does not know its key: the
// authority that signed for it is believed no more.
func TestRestoredClusterHasItsOwnAuthority(t *testing.T) {
	lost := mustNode(t, loneConfig(t, filepath.Join(t.TempDir(), "data")))
	file := filepath.Join(t.TempDir(), "broker.snapshot")
	out, err := os.Create(file)
	must(t, err)
	made, err := lost.snapshots().Begin()
	must(t, err)
	_, err = made.WriteTo(out)
	must(t, errors.Join(err, made.Close(), out.Close()))
	_, authority, err := lost.agreed()
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	signed, err := authority.SignNode(key.Public(), lost.identity.ClusterID(), "n2", time.Now())
	must(t, err)
	leaf, err := x509.ParseCertificate(signed)
	must(t, err)
	if _, err := lost.identity.Verify(leaf, time.Now()); err != nil {
		t.Fatalf("the lost cluster's own node: %v", err)
	}
	lost.stop()

	dir := filepath.Join(t.TempDir(), "restored")
	var said strings.Builder
	r := restoring{file: file, dataDir: dir, keyFile: lost.config.KeyFile, nodeID: "n1", address: "127.0.0.1:1", out: &said, err: &said}
	must(t, r.run(t.Context()))
	identity, known, err := trust.Open(dir)
	must(t, err)
	if !known || identity.ClusterID() != lost.identity.ClusterID() {
		t.Fatalf("the restored node: %v, %s", known, identity.ClusterID())
	}
	if _, err := identity.Verify(leaf, time.Now()); !errors.Is(err, trust.ErrStranger) {
		t.Errorf("a node that was let in after the snapshot: %v", err)
	}
	authorities := identity.Known().Authorities
	if len(authorities) != 1 || !strings.Contains(said.String(), trust.FingerprintOf(authorities[0]).String()) {
		t.Errorf("%d authorities; the new one's fingerprint is not in:\n%s", len(authorities), said.String())
	}
	if old := lost.identity.Known().GossipKeys; len(identity.Known().GossipKeys) != 1 || string(identity.Known().GossipKeys[0]) == string(old[0]) {
		t.Error("nodes of the lost cluster understand the restored one's gossip")
	}
}

package main

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"broker/cluster"
	"broker/cluster/trust"
)

// What strangers ask without a token is refused and leaves no entry in the log, however often.
func TestStrangersWriteNothing(t *testing.T) {
	n := mustNode(t, loneConfig(t, filepath.Join(t.TempDir(), "data")))
	defer n.stop()
	poll(t, "a leader that works", n.broker.Leading)
	stranger, err := trust.Create(t.TempDir(), "n9")
	must(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, stranger.Signer())
	must(t, err)
	question := enrollQuestion{NodeID: "n9", Request: request, Now: time.Now(), TokenHash: trust.NewJoinToken(trust.Fingerprint{}).Hash()}
	const asked = 200
	before := n.cluster.Status().LastLogIndex
	for range asked {
		if _, err := n.answerEnrolling(t.Context(), question); !errors.Is(err, cluster.ErrJoinRefused) {
			t.Fatalf("a token that nobody made: %v", err)
		}
	}
	if more := n.cluster.Status().LastLogIndex - before; more > asked/10 { // the leader writes by itself, too
		t.Errorf("%d questions left %d entries", asked, more)
	}
	question.TokenHash = make([]byte, 48<<10)
	if _, err := n.answerEnrolling(t.Context(), question); !errors.Is(err, cluster.ErrJoinRefused) {
		t.Errorf("a hash of 48 KiB: %v", err)
	}
}

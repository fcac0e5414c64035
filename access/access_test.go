package access_test

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/access"
	"broker/fsm"
	"broker/seal"
)

func mustToken(t *testing.T) string {
	t.Helper()
	token, err := access.NewToken(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensAreRecognisable(t *testing.T) {
	token := mustToken(t)
	if !strings.HasPrefix(token, "brk_") || len(token) < 60 || token == mustToken(t) {
		t.Errorf("a token looks like %d characters", len(token))
	}
	if err := access.CheckToken(token); err != nil {
		t.Error(err)
	}
	mistyped := token[:20] + "0" + token[21:]
	if mistyped == token {
		mistyped = token[:20] + "1" + token[21:]
	}
	for name, wrong := range map[string]string{"empty": "", "cut": token[:30], "mistyped": mistyped, "foreign": "ghp_" + token[4:], "longer": token + "0"} {
		if err := access.CheckToken(wrong); !errors.Is(err, access.ErrMalformedToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIdentify(t *testing.T) {
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	if err := seal.Create(keys); err != nil {
		t.Fatal(err)
	}
	keyring, err := seal.Load(keys)
	if err != nil {
		t.Fatal(err)
	}
	state, err := fsm.Open(fsm.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	now := time.Now()
	token := mustToken(t)
	hash, err := access.HashToken(keyring, token)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := fsm.NewCommand(&fsm.InitCluster{ClusterID: "c", Account: fsm.Account{Name: "admin"},
		Token: fsm.Token{Accessor: "a1", Hash: hash, Account: "admin", ExpiresAt: fsm.At(now.Add(time.Hour))}}, now, fsm.Actor{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	data, err := cmd.Encode()
	if err != nil {
		t.Fatal(err)
	}
	state.Apply(&raft.Log{Index: 1, Term: 1, Data: data})

	tokens := &access.Tokens{State: state, Hasher: keyring, Now: func() time.Time { return now }}
	if got, err := tokens.Identify(token); err != nil || got.Account != "admin" || got.Accessor != "a1" {
		t.Errorf("identified %+v, %v", got, err)
	}
	for name, wrong := range map[string]string{"another": mustToken(t), "garbage": "x", "empty": ""} {
		if _, err := tokens.Identify(wrong); !errors.Is(err, access.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	now = now.Add(time.Hour)
	if _, err := tokens.Identify(token); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("expired: %v", err)
	}
}

package access_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"broker/access"
	"broker/fsm"
	"broker/seal"
)

// house is a state with the accounts alice, a person, and ci, a service; and all that judges their credentials. The
// slow hash is a quick one that counts.
type house struct {
	t       *testing.T
	dir     string
	state   *fsm.State
	keyring *seal.Keyring
	now     time.Time
	tokens  *access.Tokens
	creds   *access.Credentials
	log     [][]byte

	mu     sync.Mutex
	hashed int
	inside chan struct{} // hashing says here that it has begun, unless nil
	let    chan struct{} // and goes on when told
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: time.Now()}
	keys := filepath.Join(h.dir, "keys")
	h.must(seal.Create(keys))
	var err error
	h.keyring, err = seal.Load(keys)
	h.must(err)
	h.state, err = fsm.Open(fsm.Config{Dir: h.dir})
	h.must(err)
	t.Cleanup(func() { h.must(h.state.Close()) })
	clock := func() time.Time { return h.now }
	h.tokens = &access.Tokens{State: h.state, Hasher: h.keyring, Now: clock}
	h.creds = access.NewCredentials(access.CredentialsConfig{Records: h.state, Keyring: h.keyring, Now: clock, Argon2: h.argon2})
	h.apply(&fsm.InitCluster{ClusterID: "c", Account: fsm.Account{Name: "alice", Kind: fsm.KindUser}, Token: fsm.Token{Accessor: "t1", Hash: []byte("hash"), Account: "alice"}})
	h.apply(&fsm.CreateAccount{Name: "ci", Kind: fsm.KindService})
	return h
}

// argon2 is quick, and depends on all that the real one depends on.
func (h *house) argon2(password, salt []byte, passes, memory uint32, threads uint8, length uint32) []byte {
	h.mu.Lock()
	h.hashed++
	h.mu.Unlock()
	if h.inside != nil {
		h.inside <- struct{}{}
		<-h.let
	}
	sum, err := h.keyring.Hash("test", string(password)+string(salt)+string([]byte{byte(passes), byte(memory), threads}))
	h.must(err)
	return sum[:length]
}

// work returns how often a password was hashed while do ran.
func (h *house) work(do func()) int {
	before := h.hashed
	do()
	return h.hashed - before
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// apply has the state machine carry out a command that it must not refuse.
func (h *house) apply(body fsm.Body) any {
	h.t.Helper()
	cmd, err := fsm.NewCommand(body, h.now, fsm.Actor{}, 0)
	h.must(err)
	data, err := cmd.Encode()
	h.must(err)
	h.log = append(h.log, data)
	result := h.state.Apply(&raft.Log{Index: uint64(len(h.log)), Term: 1, Data: data}).(*fsm.Result)
	if result.Refusal != nil {
		h.t.Fatal(result.Refusal)
	}
	return result.Value
}

// token makes a token for ci.
func (h *house) token(accessor string, change func(*fsm.Token)) string {
	h.t.Helper()
	text, hash, err := h.creds.NewToken()
	h.must(err)
	k := fsm.Token{Accessor: fsm.TokenAccessor(accessor), Hash: hash, Account: "ci", ExpiresAt: fsm.At(h.now.Add(time.Hour))}
	change(&k)
	h.apply(&fsm.CreateToken{Token: k})
	return text
}

// clientSecret makes a client secret for ci.
func (h *house) clientSecret(id string, change func(*fsm.ClientSecret)) string {
	h.t.Helper()
	text, hash, err := h.creds.NewClientSecret()
	h.must(err)
	s := fsm.ClientSecret{ID: fsm.ClientSecretID(id), Account: "ci", Hash: hash}
	change(&s)
	h.apply(&fsm.CreateClientSecret{Secret: s})
	return text
}

// password gives alice a password.
func (h *house) password(text string) {
	h.t.Helper()
	sealed, err := h.creds.SealPassword(context.Background(), "alice", text)
	h.must(err)
	h.apply(&fsm.SetPassword{Account: "alice", Sealed: sealed})
}

var home = netip.MustParseAddr("192.0.2.7")

func (h *house) signIn(method, name, secret string) (access.Proven, error) {
	return h.creds.SignIn(context.Background(), method, access.Proof{Name: fsm.AccountName(name), Secret: secret, Address: home})
}

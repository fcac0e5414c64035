package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"broker/cluster/trust"
)

var now = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func mustKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustAuthority(t *testing.T, clusterID string) *trust.Authority {
	t.Helper()
	a, err := trust.NewAuthority(clusterID, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustParse(t *testing.T, der []byte, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustHash(t *testing.T, key crypto.PublicKey) trust.KeyHash {
	t.Helper()
	h, err := trust.HashKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mustBegin makes the first node of a cluster.
func mustBegin(t *testing.T, clusterID string) (*trust.Identity, *trust.Authority) {
	t.Helper()
	id, err := trust.Create(t.TempDir(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Begin(clusterID, []string{"n1.test"}, now); err != nil {
		t.Fatal(err)
	}
	a, err := trust.OpenAuthority(id.Known().Authorities[0], id.Birth().AuthorityKey)
	if err != nil {
		t.Fatal(err)
	}
	return id, a
}

// Who is believed to be a member, and who is not.
func TestVerify(t *testing.T) {
	id, authority := mustBegin(t, "c1")
	other := mustAuthority(t, "c1")
	member, removed, stranger := mustKey(t), mustKey(t), mustKey(t)
	known := id.Known()
	known.Version = 7
	known.Members = append(known.Members, trust.MemberKey{NodeID: "n2", Key: mustHash(t, member.Public())})
	known.Removed = []trust.MemberKey{{NodeID: "n3", Key: mustHash(t, removed.Public())}}
	if _, err := id.Learn(known); err != nil {
		t.Fatal(err)
	}
	node := func(a *trust.Authority, key *ecdsa.PrivateKey, clusterID, name string) *x509.Certificate {
		der, err := a.SignNode(key.Public(), clusterID, name, now)
		return mustParse(t, der, err)
	}
	api := func() *x509.Certificate {
		der, err := authority.SignAPI(member.Public(), []string{"n2.test", "10.0.0.2"}, now)
		return mustParse(t, der, err)
	}
	for name, c := range map[string]struct {
		leaf *x509.Certificate
		at   time.Time
		want string
		err  error
	}{
		"a member":                                {node(authority, member, "c1", "n2"), now, "n2", nil},
		"a member, its certificate long run out":  {node(authority, member, "c1", "n2"), now.Add(3 * 365 * day), "n2", nil},
		"a member, this clock a year behind":      {node(authority, member, "c1", "n2"), now.Add(-365 * day), "n2", nil},
		"a member, certified by an old authority": {node(other, member, "c1", "n2"), now, "n2", nil},
		"a member under another name":             {node(authority, member, "c1", "n1"), now, "", trust.ErrStranger},
		"let in while we were away":               {node(authority, stranger, "c1", "n4"), now, "n4", nil},
		"… and its certificate ran out":           {node(authority, stranger, "c1", "n4"), now.Add(91 * day), "", trust.ErrStranger},
		"removed":                                 {node(authority, removed, "c1", "n3"), now, "", trust.ErrRemoved},
		"removed, under another name":             {node(authority, removed, "c1", "n5"), now, "", trust.ErrRemoved},
		"of another authority":                    {node(other, stranger, "c1", "n4"), now, "", trust.ErrStranger},
		"of another cluster":                      {node(mustAuthority(t, "c2"), stranger, "c2", "n2"), now, "", trust.ErrForeign},
		"a certificate of the API":                {api(), now, "", trust.ErrStranger},
		"the authority itself":                    {mustParse(t, authority.Certificate(), nil), now, "", trust.ErrStranger},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := id.Verify(c.leaf, c.at)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
		})
	}
}

// A node that is about to join believes the authority that its token names.
func TestVerifyPinned(t *testing.T) {
	id, authority := mustBegin(t, "c1")
	chain := func() (list []*x509.Certificate) {
		for _, der := range id.Certificate().Certificate {
			list = append(list, mustParse(t, der, nil))
		}
		return list
	}
	pin := trust.FingerprintOf(authority.Certificate())
	if cluster, node, err := trust.VerifyPinned(chain(), pin, now); cluster != "c1" || node != "n1" || err != nil {
		t.Errorf("got %q, %q, %v", cluster, node, err)
	}
	if _, _, err := trust.VerifyPinned(chain(), trust.FingerprintOf(mustAuthority(t, "c1").Certificate()), now); !errors.Is(err, trust.ErrStranger) {
		t.Errorf("another authority: %v", err)
	}
	// A leaf of another authority beside the right authority's certificate proves nothing.
	der, err := mustAuthority(t, "c1").SignNode(mustKey(t).Public(), "c1", "n1", now)
	mixed := []*x509.Certificate{mustParse(t, der, err), mustParse(t, authority.Certificate(), nil)}
	if _, _, err := trust.VerifyPinned(mixed, pin, now); !errors.Is(err, trust.ErrStranger) {
		t.Errorf("a mixed chain: %v", err)
	}
	// Nor does the authority's own certificate in place of a node's.
	if _, _, err := trust.VerifyPinned([]*x509.Certificate{mustParse(t, authority.Certificate(), nil)}, pin, now); !errors.Is(err, trust.ErrStranger) {
		t.Errorf("the authority alone: %v", err)
	}
}

// Clients that trust only the old authority believe what the next one signs.
func TestAdopt(t *testing.T) {
	first, second := mustAuthority(t, "c1"), mustAuthority(t, "c1")
	adopted, err := first.Adopt(second)
	if err != nil {
		t.Fatal(err)
	}
	der, err := second.SignAPI(mustKey(t).Public(), []string{"broker.test"}, now)
	leaf := mustParse(t, der, err)
	for name, c := range map[string]struct {
		root *trust.Authority
		via  []byte
		ok   bool
	}{
		"the old one, with what it adopted": {first, adopted, true},
		"the new one":                       {second, nil, true},
		"the old one alone":                 {first, nil, false},
	} {
		roots, via := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(mustParse(t, c.root.Certificate(), nil))
		if c.via != nil {
			via.AddCert(mustParse(t, c.via, nil))
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: via, DNSName: "broker.test", CurrentTime: now})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However often the authority was rotated: who knows any of them, by certificate or fingerprint, believes what the
// newest signs, as long as none between was retired.
func TestManyRotations(t *testing.T) {
	list := []*trust.Authority{mustAuthority(t, "c1")}
	var adopted []*x509.Certificate
	for range 4 {
		last := list[len(list)-1]
		next := mustAuthority(t, "c1")
		der, err := last.Adopt(next)
		adopted = append(adopted, mustParse(t, der, err))
		list = append(list, next)
	}
	newest := list[len(list)-1]
	key := mustKey(t)
	der, err := newest.SignAPI(key.Public(), []string{"broker.test"}, now)
	leaf := mustParse(t, der, err)
	der, err = newest.SignNode(key.Public(), "c1", "n1", now)
	node := mustParse(t, der, err)
	chain := append([]*x509.Certificate{node}, adopted...)
	via := x509.NewCertPool()
	for _, one := range adopted {
		via.AddCert(one)
	}
	for i := len(list) - 1; i >= 0; i-- {
		chain = append(chain, mustParse(t, list[i].Certificate(), nil))
	}
	for i, a := range list {
		roots := x509.NewCertPool()
		roots.AddCert(mustParse(t, a.Certificate(), nil))
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: via, DNSName: "broker.test", CurrentTime: now}); err != nil {
			t.Errorf("who knows authority %d: %v", i, err)
		}
		if _, _, err := trust.VerifyPinned(chain, trust.FingerprintOf(a.Certificate()), now); err != nil {
			t.Errorf("a join token of authority %d: %v", i, err)
		}
	}
}

func TestRenewalDue(t *testing.T) {
	id, authority := mustBegin(t, "c1")
	names := []string{"n1.test"}
	for name, c := range map[string]struct {
		names []string
		at    time.Time
		want  bool
	}{
		"new":                 {names, now, false},
		"a month old":         {names, now.Add(30 * day), false},
		"two thirds are over": {names, now.Add(61 * day), true},
		"run out":             {names, now.Add(400 * day), true},
		"another name":        {[]string{"n1.test", "10.1.2.3"}, now, true},
		"no API to certify":   {nil, now, false},
	} {
		if got := id.RenewalDue(c.names, c.at); got != c.want {
			t.Errorf("%s: due %t, want %t", name, got, c.want)
		}
	}
	next := mustAuthority(t, "c1")
	known := id.Known()
	known.Version, known.Authorities = 9, append([][]byte{next.Certificate()}, known.Authorities...)
	if _, err := id.Learn(known); err != nil {
		t.Fatal(err)
	}
	if !id.RenewalDue(names, now) {
		t.Error("another authority signs, and no renewal is due")
	}
	if err := id.Renew(next, names, now); err != nil {
		t.Fatal(err)
	}
	if id.RenewalDue(names, now) {
		t.Error("due again after renewing")
	}
	_ = authority
}

func TestIdentityOnDisk(t *testing.T) {
	dir := t.TempDir()
	if _, known, err := trust.Open(dir); known || err != nil {
		t.Fatalf("an empty directory: %t, %v", known, err)
	}
	id, err := trust.Create(dir, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Begin("c1", nil, now); err != nil {
		t.Fatal(err)
	}
	known := id.Known()
	known.Version = 5
	if news, err := id.Learn(known); !news || err != nil {
		t.Errorf("learning: %t, %v", news, err)
	}
	older := known
	older.Version, older.Members = 4, nil
	if news, err := id.Learn(older); news || err != nil {
		t.Errorf("learning what is older: %t, %v", news, err)
	}
	if err := id.Born(); err != nil {
		t.Fatal(err)
	}
	again, ok, err := trust.Open(dir)
	if err != nil || !ok {
		t.Fatalf("opening again: %t, %v", ok, err)
	}
	if again.ClusterID() != "c1" || again.NodeID() != "n1" || len(again.Known().Members) != 1 || again.Birth() != nil || again.Known().Version != 5 {
		t.Errorf("came back as %s of %s, %+v", again.NodeID(), again.ClusterID(), again.Known())
	}
	path := filepath.Join(dir, trust.FileName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func() error
		says  string
	}{
		"open to others": {func() error { return os.Chmod(path, 0o640) }, "chmod 600"},
		"torn":           {func() error { return os.WriteFile(path, whole[:100], 0o600) }, "damaged"},
		"without a key":  {func() error { return os.WriteFile(path, []byte(`{"format":1,"node_id":"n1"}`), 0o600) }, "holds no key"},
		"of the future":  {func() error { return os.WriteFile(path, []byte(`{"format":9}`), 0o600) }, "newer version"},
	} {
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, whole, 0o600), c.spoil()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := trust.Open(dir); !errors.Is(err, trust.ErrFile) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestJoinToken(t *testing.T) {
	pin := trust.FingerprintOf([]byte("authority"))
	token := trust.NewJoinToken(pin)
	text := token.Reveal()
	again, err := trust.ParseJoinToken(" " + text + "\n")
	if err != nil || string(again.Hash()) != string(token.Hash()) || again.Authority() != pin {
		t.Errorf("came back as %v, %v", again, err)
	}
	if string(trust.NewJoinToken(pin).Hash()) == string(token.Hash()) {
		t.Error("two tokens are the same")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if printed := fmt.Sprintf(verb, token); strings.Contains(printed, text[5:20]) || !strings.Contains(printed, "redacted") {
			t.Errorf("%s prints %s", verb, printed)
		}
	}
	flipped := []byte(text)
	flipped[20] ^= 1
	for name, bad := range map[string]string{
		"empty": "", "another kind": "brk_abc", "cut": text[:len(text)-3], "longer": text + "AAAA", "changed": string(flipped), "the prefix alone": "brkj_",
	} {
		_, err := trust.ParseJoinToken(bad)
		if !errors.Is(err, trust.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(bad) > 10 && strings.Contains(err.Error(), bad[5:]) {
			t.Errorf("%s: the error quotes the token", name)
		}
	}
}

package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// FileName is the file in a node's data directory that holds its Identity.
const FileName = "identity.json"

const fileFormat = 1

// Known is what a cluster has agreed upon about its members.
type Known struct {
	// Version grows with every change. What is older than what a node knows is ignored: a replicated state
	// that is still being rebuilt knows less.
	Version uint64 `json:"version"`
	// Authorities are certificates, DER, of those whose signatures count; the first one signs.
	Authorities [][]byte `json:"authorities"`
	// Adopted are certificates by which older authorities vouch for newer ones, for clients that know
	// only the older.
	Adopted [][]byte `json:"adopted,omitempty"`
	// Members are the keys of the nodes that were let in.
	Members []MemberKey `json:"members"`
	// Removed are keys that are never believed again.
	Removed []MemberKey `json:"removed,omitempty"`
	// GossipKeys encrypt gossip; the first one is used, the others are understood.
	GossipKeys [][]byte `json:"gossip_keys,omitempty"`
}

// MemberKey says that a key is that of a node.
type MemberKey struct {
	NodeID string  `json:"node_id"`
	Key    KeyHash `json:"key"`
}

// content is what the file holds.
type content struct {
	Format    int    `json:"format"`
	ClusterID string `json:"cluster_id,omitempty"` // empty: not let in yet
	NodeID    string `json:"node_id"`
	Key       []byte `json:"key"` // PKCS #8, for connections between nodes

	Certificate    []byte `json:"certificate,omitempty"` // DER
	APICertificate []byte `json:"api_certificate,omitempty"`

	Known Known `json:"known"`

	// Birth is kept by the first node of a cluster until the cluster knows it.
	Birth *Birth `json:"birth,omitempty"`
}

// Birth is what a new cluster begins with.
type Birth struct {
	AuthorityKey []byte `json:"authority_key"` // PKCS #8
}

// An Identity is who a node is, and whom it believes. It is safe for concurrent use. Every change is on
// disk before it counts.
type Identity struct {
	path string
	key  *ecdsa.PrivateKey

	mu       sync.RWMutex
	content  content
	pool     *x509.CertPool
	presents tls.Certificate
}

// Open reads a data directory's identity. It reports false, and no error, when there is none.
func Open(dir string) (*Identity, bool, error) {
	path := filepath.Join(dir, FileName)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the node's identity: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, false, fmt.Errorf("%w: %s holds the node's key and can be read by others (mode %04o): run chmod 600 on it", ErrFile, path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, false, fmt.Errorf("reading the node's identity: %w", err)
	}
	id := &Identity{path: path}
	if err := json.Unmarshal(data, &id.content); err != nil {
		return nil, false, fmt.Errorf("%w: %s is damaged; restore it, or give the node an empty data directory and a new join token", ErrFile, path)
	}
	if id.content.Format > fileFormat {
		return nil, false, fmt.Errorf("%w: %s was written by a newer version of this program: start that one again", ErrFile, path)
	}
	key, err := x509.ParsePKCS8PrivateKey(id.content.Key)
	var ok bool
	if id.key, ok = key.(*ecdsa.PrivateKey); err != nil || !ok || id.content.NodeID == "" {
		return nil, false, fmt.Errorf("%w: %s is damaged: it holds no key or names no node", ErrFile, path)
	}
	return id, true, id.derive()
}

// Create makes the identity of a node that no cluster knows yet, and writes it into dir.
func Create(dir, nodeID string) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the node's key: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making the node's key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	id := &Identity{path: filepath.Join(dir, FileName), key: key}
	return id, id.update(func(c *content) error {
		*c = content{Format: fileFormat, NodeID: nodeID, Key: encoded}
		return nil
	})
}

// NodeID is the node's name.
func (id *Identity) NodeID() string { return id.read().NodeID }

// ClusterID is the cluster that let the node in; empty: none has.
func (id *Identity) ClusterID() string { return id.read().ClusterID }

// Known returns what the node has heard of its cluster.
func (id *Identity) Known() Known { return id.read().Known }

// Birth returns what a cluster that this node begins still has to be told; nil: nothing.
func (id *Identity) Birth() *Birth { return id.read().Birth }

// PublicKey is the node's key, by which other members know it.
func (id *Identity) PublicKey() crypto.PublicKey { return id.key.Public() }

// Signer signs with the node's key.
func (id *Identity) Signer() crypto.Signer { return id.key }

func (id *Identity) read() content {
	id.mu.RLock()
	defer id.mu.RUnlock()
	return id.content
}

// Begin makes the node the first one of a new cluster: it gets an authority, a key for gossip and its
// certificate. The authority's key stays in the file until Born.
func (id *Identity) Begin(clusterID string, apiNames []string, now time.Time) error {
	authority, err := NewAuthority(clusterID, now)
	if err != nil {
		return err
	}
	key, err := authority.Key()
	if err != nil {
		return fmt.Errorf("encoding the authority's key: %w", err)
	}
	hash, err := HashKey(id.PublicKey())
	if err != nil {
		return err
	}
	gossip := make([]byte, 32)
	_, _ = rand.Read(gossip) // never fails
	return id.update(func(c *content) error {
		c.ClusterID = clusterID
		c.Birth = &Birth{AuthorityKey: key}
		c.Known = Known{
			Authorities: [][]byte{authority.Certificate()},
			Members:     []MemberKey{{NodeID: c.NodeID, Key: hash}},
			GossipKeys:  [][]byte{gossip},
		}
		return id.signInto(c, authority, apiNames, now)
	})
}

// Born forgets what only a cluster's birth needed.
func (id *Identity) Born() error {
	if id.Birth() == nil {
		return nil
	}
	return id.update(func(c *content) error {
		c.Birth = nil
		return nil
	})
}

// Join makes the node a member of the cluster that signed its certificates.
func (id *Identity) Join(clusterID string, certificate, apiCertificate []byte, known Known) error {
	return id.update(func(c *content) error {
		c.ClusterID, c.Certificate, c.APICertificate, c.Known = clusterID, certificate, apiCertificate, known
		return nil
	})
}

// Learn takes in what the cluster has agreed upon since. It reports whether that was news.
func (id *Identity) Learn(known Known) (news bool, err error) {
	if known.Version <= id.Known().Version {
		return false, nil
	}
	return true, id.update(func(c *content) error {
		c.Known = known
		return nil
	})
}

// Renew signs the node's certificates anew.
func (id *Identity) Renew(authority *Authority, apiNames []string, now time.Time) error {
	return id.update(func(c *content) error { return id.signInto(c, authority, apiNames, now) })
}

func (id *Identity) signInto(c *content, authority *Authority, apiNames []string, now time.Time) (err error) {
	if c.Certificate, err = authority.SignNode(id.PublicKey(), c.ClusterID, c.NodeID, now); err != nil {
		return err
	}
	c.APICertificate = nil
	if len(apiNames) > 0 {
		c.APICertificate, err = authority.SignAPI(id.PublicKey(), apiNames, now)
	}
	return err
}

// RenewalDue reports whether the certificates want to be signed anew: two thirds of their time are over, another
// authority signs now, or the API has other names.
func (id *Identity) RenewalDue(apiNames []string, now time.Time) bool {
	c := id.read()
	due := func(der []byte) bool {
		certificate, err := x509.ParseCertificate(der)
		if err != nil || now.After(certificate.NotAfter.Add(-certificateTTL/3)) || now.Before(certificate.NotBefore) {
			return true
		}
		signer, err := x509.ParseCertificate(c.Known.Authorities[0])
		return err == nil && certificate.CheckSignatureFrom(signer) != nil
	}
	switch {
	case len(c.Known.Authorities) == 0:
		return false
	case due(c.Certificate):
		return true
	case len(apiNames) == 0:
		return false
	case due(c.APICertificate):
		return true
	}
	certificate, err := x509.ParseCertificate(c.APICertificate)
	if err != nil {
		return true
	}
	names := slices.Clone(certificate.DNSNames)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	wanted := slices.Clone(apiNames)
	slices.Sort(names)
	slices.Sort(wanted)
	return !slices.Equal(names, wanted)
}

// ExpiresAt is when the node's certificate runs out; zero while it has none.
func (id *Identity) ExpiresAt() time.Time {
	certificate, err := x509.ParseCertificate(id.read().Certificate)
	if err != nil {
		return time.Time{}
	}
	return certificate.NotAfter
}

// update changes the content: on disk first.
func (id *Identity) update(change func(*content) error) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	next := id.content
	if err := change(&next); err != nil {
		return err
	}
	if err := write(id.path, next); err != nil {
		return err
	}
	id.content = next
	return id.deriveLocked()
}

func (id *Identity) derive() error {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.deriveLocked()
}

// deriveLocked keeps ready what every handshake needs.
func (id *Identity) deriveLocked() error {
	id.pool = x509.NewCertPool()
	for _, der := range id.content.Known.Authorities {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%w: %s is damaged: a certificate cannot be read", ErrFile, id.path)
		}
		id.pool.AddCert(certificate)
	}
	id.presents = tls.Certificate{
		Certificate: slices.Concat([][]byte{id.content.Certificate}, id.content.Known.Adopted, id.content.Known.Authorities),
		PrivateKey:  id.key,
	}
	return nil
}

// write replaces the file in one step and makes that durable.
func write(path string, c content) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the node's identity: %w", err)
	}
	next := path + ".tmp"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the node's identity: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the node's identity: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("writing the node's identity: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("writing the node's identity: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

package awstest

import (
	"crypto/rand"
	"maps"
	"slices"
	"time"
)

type user struct {
	name, path, boundary string
	made                 time.Time
	tags                 map[string]string
	keys                 map[string]*accessKey
	groups               map[string]bool
	attached             map[string]bool
	inline               map[string]string

	password     bool
	mfa          map[string]bool // serial numbers
	sshKeys      map[string]bool
	services     map[string]bool
	certificates map[string]bool
}

func newUser(name, path string) *user {
	return &user{name: name, path: path, tags: map[string]string{}, keys: map[string]*accessKey{}, groups: map[string]bool{},
		attached: map[string]bool{}, inline: map[string]string{}, mfa: map[string]bool{}, sshKeys: map[string]bool{},
		services: map[string]bool{}, certificates: map[string]bool{}}
}

// has says what is in the way of deleting the user, or "".
func (u *user) has() string {
	switch {
	case len(u.keys) > 0:
		return "must delete access keys first"
	case len(u.groups) > 0:
		return "must remove users from group first"
	case len(u.attached) > 0:
		return "must detach all policies first"
	case len(u.inline) > 0:
		return "must delete policies first"
	case u.password:
		return "must delete login profile first"
	case len(u.mfa) > 0:
		return "must delete MFA device first"
	case len(u.sshKeys) > 0, len(u.services) > 0:
		return "must remove referenced objects first"
	case len(u.certificates) > 0:
		return "must delete signing certificates first"
	}
	return ""
}

type accessKey struct {
	Key
	active bool
	made   time.Time
}

type group struct {
	path     string
	inline   map[string]string
	attached map[string]bool
}

type role struct {
	name, id, trusted, externalID string
	longest                       time.Duration
	inline                        map[string]string
}

type session struct {
	Key
	of     string // the role's name, or that of the user whose own session it is
	user   bool
	id     string // "AROA…:name"
	name   string
	policy string   // inline session policy
	arns   []string // managed session policies
	ends   time.Time
}

// Belongings gives a user one of everything that IAM has, and n of what it may have many of, as people and other
// programs do.
func (f *Fake) Belongings(name string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.users[name]
	u.password = true
	for len(u.keys) < 2 {
		key := newKey("AKIA")
		u.keys[key.ID] = &accessKey{Key: key, active: len(u.keys) == 0}
	}
	for range n {
		id := rand.Text()
		group, policy := "group-"+id, "arn:aws:iam::"+f.account()+":policy/policy-"+id
		f.groups[group] = newGroup()
		f.policies[policy] = ReadPolicy
		u.groups[group], u.attached[policy], u.inline["inline-"+id] = true, true, ReadPolicy
		u.sshKeys["APKA"+id], u.services["ACCA"+id], u.certificates[id] = true, true, true
		u.mfa["arn:aws:iam::"+f.account()+":mfa/"+id], u.mfa["GAHT"+id] = true, true
	}
}

func newGroup() *group {
	return &group{path: "/", inline: map[string]string{}, attached: map[string]bool{}}
}

// OwnSession makes a temporary credential that a user got for itself with its key, as with sts:GetSessionToken.
func (f *Fake) OwnSession(name string) Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := newKey("ASIA")
	key.Token = rand.Text()
	f.sessions[key.ID] = &session{Key: key, of: name, user: true, ends: f.now().Add(12 * time.Hour)}
	return key
}

// Deactivate switches a user's keys off.
func (f *Fake) Deactivate(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range f.users[name].keys {
		key.active = false
	}
}

// Keys returns the ids of a user's keys.
func (f *Fake) Keys(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users[name] == nil {
		return nil
	}
	return sortedKeys(f.users[name].keys)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

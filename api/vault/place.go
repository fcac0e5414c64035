package vault

import "strings"

// Secret names a dynamic secret.
type Secret struct{ App, Env, Name string }

// credsSegment stands between a mount and the name of a secret.
const credsSegment = "creds"

// String is the full name.
func (s Secret) String() string { return s.App + "/" + s.Env + "/" + s.Name }

// leaseID is what a client knows a lease by.
func leaseID(secret, id string) string {
	at := strings.LastIndexByte(secret, '/')
	return secret[:at] + "/" + credsSegment + secret[at:] + "/" + id
}

// Place is a prefix of lease ids, in whole segments: app, app/env, app/env/creds, app/env/creds/name, and with an ID a
// lease itself. Empty fields are not part of it.
type Place struct {
	App, Env string
	Creds    bool
	Name     string
	ID       string
}

// parsePlace reads a prefix of lease ids. What no lease id begins with is no place.
func parsePlace(path string) (Place, bool) {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	var p Place
	for i, one := range segments {
		switch {
		case one == "" && len(segments) > 1, i > 4, i == 2 && one != credsSegment:
			return Place{}, false
		case i == 0:
			p.App = one
		case i == 1:
			p.Env = one
		case i == 2:
			p.Creds = true
		case i == 3:
			p.Name = one
		case i == 4:
			p.ID = one
		}
	}
	return p, p.App != "sys" && p.App != "auth"
}

// secret is the one that the place is of, or in.
func (p Place) secret() Secret { return Secret{p.App, p.Env, p.Name} }

// Below returns what stands below a place on the way to the leases of a secret; empty: the way does not lead there. What
// is no end has a slash at its own.
func Below(p Place, app, env, name string) string {
	switch {
	case p.App == "":
		return app + "/"
	case p.App != app || p.Env != "" && p.Env != env:
		return ""
	case p.Env == "":
		return env + "/"
	case !p.Creds:
		return credsSegment + "/"
	}
	return name + "/"
}

package awstest

import (
	"strings"
	"time"
)

// principal is who signed a call.
type principal struct {
	key       Key
	arn, id   string
	user      string // its name, when it is a user or its own session
	session   *session
	documents []string
}

// principal finds who a key belongs to. The mutex is held.
func (f *Fake) principal(id, token string) (principal, *refusal) {
	if s, ok := f.sessions[id]; ok {
		if s.Token != token || f.now().After(s.ends) {
			return principal{}, refuse(403, "ExpiredToken", "The security token included in the request is expired")
		}
		return f.sessionPrincipal(s)
	}
	for _, u := range f.users {
		key, ok := u.keys[id]
		if !ok {
			continue
		}
		if !key.active || token != "" || f.now().Sub(key.made) < f.behaviour.KeyDelay {
			break
		}
		return f.userPrincipal(u, key.Key), nil
	}
	return principal{}, refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
}

func (f *Fake) userPrincipal(u *user, key Key) principal {
	p := principal{key: key, arn: f.userARN(u), id: "AIDA" + u.name, user: u.name}
	for _, document := range u.inline {
		p.documents = append(p.documents, document)
	}
	for arn := range u.attached {
		p.documents = append(p.documents, f.policies[arn])
	}
	for name := range u.groups {
		for _, document := range f.groups[name].inline {
			p.documents = append(p.documents, document)
		}
	}
	return p
}

func (f *Fake) sessionPrincipal(s *session) (principal, *refusal) {
	if s.user {
		u, ok := f.users[s.of]
		if !ok {
			return principal{}, refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
		}
		return f.userPrincipal(u, s.Key), nil
	}
	r, ok := f.roles[s.of]
	if !ok {
		return principal{}, refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	p := principal{key: s.Key, arn: "arn:aws:sts::" + f.account() + ":assumed-role/" + r.name + "/" + s.name, id: s.id, session: s}
	for _, document := range r.inline {
		p.documents = append(p.documents, document)
	}
	return p, nil
}

// authorize refuses what the caller's policies, its boundary or its session policies do not allow.
func (c *call) authorize(action, resource string) *refusal {
	if action == "sts:GetCallerIdentity" {
		return nil
	}
	if name := c.param("UserName"); action == "iam:DeleteUser" && name != "" && name == c.protected {
		return refuse(403, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s with an explicit deny in a service control policy", c.caller.arn, action, resource)
	}
	values := conditions{
		"aws:CurrentTime": c.now().UTC().Format(time.RFC3339), "aws:userid": c.caller.id, "aws:username": c.caller.user,
		"iam:PolicyARN": c.param("PolicyArn"), "iam:PermissionsBoundary": c.param("PermissionsBoundary"),
	}
	if u, ok := c.users[c.param("UserName")]; ok && u.boundary != "" {
		values["iam:PermissionsBoundary"] = u.boundary
	}
	// Each group of documents has to allow it.
	groups := [][]string{c.caller.documents}
	if u := c.users[c.caller.user]; u != nil && u.boundary != "" {
		groups = append(groups, []string{c.policies[u.boundary]})
	}
	if s := c.caller.session; s != nil && (s.policy != "" || len(s.arns) > 0) {
		limits := []string{s.policy}
		for _, arn := range s.arns {
			limits = append(limits, c.policies[arn])
		}
		groups = append(groups, limits)
	}
	for _, documents := range groups {
		allowed, denied := evaluate(documents, action, resource, values)
		if denied {
			return refuse(403, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s with an explicit deny in an identity-based policy", c.caller.arn, action, resource)
		}
		if !allowed {
			return refuse(403, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action", c.caller.arn, action, resource, action)
		}
	}
	return nil
}

func (f *Fake) userARN(u *user) string {
	return "arn:aws:iam::" + f.account() + ":user" + u.path + u.name
}

func (f *Fake) roleARN(name string) string {
	return "arn:aws:iam::" + f.account() + ":role/" + name
}

// object answers a reader of S3.
func (c *call) object(path string) *refusal {
	return c.authorize("s3:GetObject", "arn:aws:s3:::"+strings.TrimPrefix(path, "/"))
}

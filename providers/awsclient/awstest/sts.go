package awstest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

func aRole(c *call) string {
	if arn := c.param("RoleArn"); arn != "" {
		return arn
	}
	return c.roleARN(c.param("RoleName"))
}

func onRole(do func(*call, *role) (string, *refusal)) func(*call) (string, *refusal) {
	return func(c *call) (string, *refusal) {
		r, ok := c.roles[c.param("RoleName")]
		if !ok {
			return "", noEntity("role", c.param("RoleName"))
		}
		return do(c, r)
	}
}

func putRolePolicy(c *call, r *role) (string, *refusal) {
	document := c.param("PolicyDocument")
	if _, err := parsePolicy(document); err != nil {
		return "", refuse(400, "MalformedPolicyDocument", "Syntax errors in policy.")
	}
	size := len(document)
	for name, other := range r.inline {
		if name != c.param("PolicyName") {
			size += len(other)
		}
	}
	if size > 10240 {
		return "", refuse(409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role %s", r.name)
	}
	r.inline[c.param("PolicyName")] = document
	return "", nil
}

func listRolePolicies(c *call, r *role) (string, *refusal) {
	return c.page("PolicyNames", sortedKeys(r.inline), escape)
}

func deleteRolePolicy(c *call, r *role) (string, *refusal) {
	if _, there := r.inline[c.param("PolicyName")]; !there {
		return "", noEntity("role policy", c.param("PolicyName"))
	}
	delete(r.inline, c.param("PolicyName"))
	return "", nil
}

func getRole(c *call, r *role) (string, *refusal) {
	return element("Role", element("RoleName", r.name)+element("Arn", c.roleARN(r.name))+element("RoleId", r.id)+
		element("MaxSessionDuration", fmt.Sprint(int(r.longest.Seconds())))), nil
}

func (c *call) callerIdentity() (string, *refusal) {
	return element("Arn", escape(c.caller.arn)) + element("UserId", escape(c.caller.id)) + element("Account", c.account()), nil
}

func (c *call) assumeRole() (string, *refusal) {
	arn, sessionName := c.param("RoleArn"), c.param("RoleSessionName")
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	r, ok := c.roles[name]
	denied := refuse(403, "AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.caller.arn, arn)
	if !ok || arn != c.roleARN(name) || r.externalID != c.param("ExternalId") || !matches(r.trusted, c.caller.arn, false) {
		return "", denied
	}
	duration := 3600
	if text := c.param("DurationSeconds"); text != "" {
		if _, err := fmt.Sscan(text, &duration); err != nil {
			return "", refuse(400, "ValidationError", "DurationSeconds")
		}
	}
	longest := r.longest
	if c.caller.session != nil {
		longest = time.Hour // a role that assumes a role
	}
	if duration < 900 || time.Duration(duration)*time.Second > longest {
		return "", refuse(400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	policy := c.param("Policy")
	if policy != "" {
		if _, err := parsePolicy(policy); err != nil || len(policy) > 2048 {
			return "", refuse(400, "MalformedPolicyDocument", "Syntax errors in policy.")
		}
	}
	key := newKey("ASIA")
	key.Token = rand.Text() + rand.Text()
	s := &session{Key: key, of: r.name, id: r.id + ":" + sessionName, name: sessionName, policy: policy, ends: c.now().Add(time.Duration(duration) * time.Second)}
	for i := 1; c.param(fmt.Sprintf("PolicyArns.member.%d.arn", i)) != ""; i++ {
		s.arns = append(s.arns, c.param(fmt.Sprintf("PolicyArns.member.%d.arn", i)))
	}
	if c.param("Tags.member.1.Key") != "" {
		if refused := c.authorize("sts:TagSession", arn); refused != nil {
			return "", refused
		}
	}
	c.sessions[key.ID] = s
	return element("Credentials", element("AccessKeyId", key.ID)+element("SecretAccessKey", key.Secret)+element("SessionToken", key.Token)+
		element("Expiration", s.ends.UTC().Format(time.RFC3339))) + element("AssumedRoleUser", element("Arn", escape("arn:aws:sts::"+c.account()+":assumed-role/"+r.name+"/"+sessionName))+
		element("AssumedRoleId", s.id)), nil
}

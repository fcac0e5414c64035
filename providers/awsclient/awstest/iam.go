package awstest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// action is one action of an API.
type action struct {
	service  string
	resource func(*call) string
	do       func(*call) (string, *refusal)
}

var actions = map[string]action{
	"CreateUser":               {"iam", aUser, (*call).createUser},
	"GetUser":                  {"iam", aUser, onUser(getUser)},
	"ListUsers":                {"iam", anything, (*call).listUsers},
	"DeleteUser":               {"iam", aUser, onUser(deleteUser)},
	"CreateAccessKey":          {"iam", aUser, onUser(createAccessKey)},
	"ListAccessKeys":           {"iam", aUser, onUser(listAccessKeys)},
	"UpdateAccessKey":          {"iam", aUser, onUser(updateAccessKey)},
	"DeleteAccessKey":          {"iam", aUser, onUser(deleteAccessKey)},
	"PutUserPolicy":            {"iam", aUser, onUser(putUserPolicy)},
	"ListUserPolicies":         {"iam", aUser, onUser(listUserPolicies)},
	"AttachUserPolicy":         {"iam", aUser, onUser(attachUserPolicy)},
	"ListAttachedUserPolicies": {"iam", aUser, onUser(listAttached)},
	"ListGroupsForUser":        {"iam", aUser, onUser(listGroups)},
	"AddUserToGroup":           {"iam", aGroup, onUser(addToGroup)},
	"GetGroup":                 {"iam", aGroup, (*call).getGroup},
	"GetPolicy":                {"iam", func(c *call) string { return c.param("PolicyArn") }, (*call).getPolicy},

	"DeleteUserPolicy":    {"iam", aUser, onUser(removeFrom("PolicyName", func(u *user) map[string]string { return u.inline }))},
	"DetachUserPolicy":    {"iam", aUser, onUser(removeFrom("PolicyArn", func(u *user) map[string]bool { return u.attached }))},
	"RemoveUserFromGroup": {"iam", aGroup, onUser(removeFrom("GroupName", func(u *user) map[string]bool { return u.groups }))},

	"DeleteLoginProfile":              {"iam", aUser, onUser(deleteLoginProfile)},
	"ListMFADevices":                  {"iam", aUser, onUser(listOf("MFADevices", "SerialNumber", func(u *user) map[string]bool { return u.mfa }))},
	"DeactivateMFADevice":             {"iam", aUser, onUser(removeFrom("SerialNumber", func(u *user) map[string]bool { return u.mfa }))},
	"DeleteVirtualMFADevice":          {"iam", func(c *call) string { return c.param("SerialNumber") }, nothing},
	"ListSSHPublicKeys":               {"iam", aUser, onUser(listOf("SSHPublicKeys", "SSHPublicKeyId", func(u *user) map[string]bool { return u.sshKeys }))},
	"DeleteSSHPublicKey":              {"iam", aUser, onUser(removeFrom("SSHPublicKeyId", func(u *user) map[string]bool { return u.sshKeys }))},
	"ListServiceSpecificCredentials":  {"iam", aUser, onUser(listOf("ServiceSpecificCredentials", "ServiceSpecificCredentialId", func(u *user) map[string]bool { return u.services }))},
	"DeleteServiceSpecificCredential": {"iam", aUser, onUser(removeFrom("ServiceSpecificCredentialId", func(u *user) map[string]bool { return u.services }))},
	"ListSigningCertificates":         {"iam", aUser, onUser(listOf("Certificates", "CertificateId", func(u *user) map[string]bool { return u.certificates }))},
	"DeleteSigningCertificate":        {"iam", aUser, onUser(removeFrom("CertificateId", func(u *user) map[string]bool { return u.certificates }))},

	"PutRolePolicy":     {"iam", aRole, onRole(putRolePolicy)},
	"ListRolePolicies":  {"iam", aRole, onRole(listRolePolicies)},
	"DeleteRolePolicy":  {"iam", aRole, onRole(deleteRolePolicy)},
	"GetRole":           {"iam", aRole, onRole(getRole)},
	"AssumeRole":        {"sts", aRole, (*call).assumeRole},
	"GetCallerIdentity": {"sts", anything, (*call).callerIdentity},
}

func anything(*call) string { return "*" }

// aUser is the ARN of a user. Of one that is not there no path is known, but that of one to be made.
func aUser(c *call) string {
	name, path := c.param("UserName"), "/"
	if u, ok := c.users[name]; ok {
		path = u.path
	} else if c.action == "CreateUser" && c.param("Path") != "" {
		path = c.param("Path")
	}
	return "arn:aws:iam::" + c.account() + ":user" + path + name
}

func aGroup(c *call) string { return "arn:aws:iam::" + c.account() + ":group/" + c.param("GroupName") }

// onUser hands the user over that a call names.
func onUser(do func(*call, *user) (string, *refusal)) func(*call) (string, *refusal) {
	return func(c *call) (string, *refusal) {
		name := c.param("UserName")
		u, ok := c.users[name]
		if !ok || c.now().Sub(u.made) < c.behaviour.Unknown {
			return "", noEntity("user", name)
		}
		return do(c, u)
	}
}

func nothing(*call) (string, *refusal) { return "", nil }

func (c *call) createUser() (string, *refusal) {
	name, boundary := c.param("UserName"), c.param("PermissionsBoundary")
	if _, there := c.users[name]; there {
		return "", refuse(409, "EntityAlreadyExists", "User with name %s already exists.", name)
	}
	if _, known := c.policies[boundary]; boundary != "" && !known {
		return "", refuse(404, "NoSuchEntity", "Scope ARN: %s does not exist or is not attachable.", boundary)
	}
	if len(name) > 64 {
		return "", refuse(400, "ValidationError", "Member must have length less than or equal to 64")
	}
	u := newUser(name, c.param("Path"))
	u.boundary, u.made = boundary, c.now()
	for i := 1; c.param(fmt.Sprintf("Tags.member.%d.Key", i)) != ""; i++ {
		u.tags[c.param(fmt.Sprintf("Tags.member.%d.Key", i))] = c.param(fmt.Sprintf("Tags.member.%d.Value", i))
	}
	c.users[name] = u
	return element("User", c.describe(u)), nil
}

func (c *call) describe(u *user) string {
	tags := ""
	for _, key := range sortedKeys(u.tags) {
		tags += element("member", element("Key", escape(key))+element("Value", escape(u.tags[key])))
	}
	return element("UserName", escape(u.name)) + element("Path", escape(u.path)) + element("UserId", "AIDA"+escape(u.name)) +
		element("Arn", escape(c.userARN(u))) + element("CreateDate", u.made.UTC().Format(time.RFC3339)) + element("Tags", tags)
}

func getUser(c *call, u *user) (string, *refusal) { return element("User", c.describe(u)), nil }

func (c *call) listUsers() (string, *refusal) {
	return c.page("Users", sortedKeys(c.users), func(name string) string {
		untagged := *c.users[name]
		untagged.tags = nil // as AWS does
		return c.describe(&untagged)
	})
}

func deleteUser(c *call, u *user) (string, *refusal) {
	if has := u.has(); has != "" {
		return "", refuse(409, "DeleteConflict", "Cannot delete entity, %s.", has)
	}
	delete(c.users, u.name)
	return "", nil
}

func createAccessKey(c *call, u *user) (string, *refusal) {
	if len(u.keys) >= 2 {
		return "", refuse(409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
	}
	key := newKey("AKIA")
	u.keys[key.ID] = &accessKey{Key: key, active: true, made: c.now()}
	return element("AccessKey", element("UserName", escape(u.name))+element("AccessKeyId", key.ID)+element("SecretAccessKey", key.Secret)+element("Status", "Active")), nil
}

func listAccessKeys(c *call, u *user) (string, *refusal) {
	return c.page("AccessKeyMetadata", sortedKeys(u.keys), func(id string) string {
		return element("UserName", escape(u.name)) + element("AccessKeyId", id) + element("CreateDate", u.keys[id].made.UTC().Format(time.RFC3339))
	})
}

func updateAccessKey(c *call, u *user) (string, *refusal) {
	key, ok := u.keys[c.param("AccessKeyId")]
	if !ok {
		return "", noEntity("Access Key", c.param("AccessKeyId"))
	}
	key.active = c.param("Status") == "Active"
	return "", nil
}

func deleteAccessKey(c *call, u *user) (string, *refusal) {
	return removeFrom("AccessKeyId", func(u *user) map[string]*accessKey { return u.keys })(c, u)
}

func putUserPolicy(c *call, u *user) (string, *refusal) {
	document := c.param("PolicyDocument")
	if _, err := parsePolicy(document); err != nil {
		return "", refuse(400, "MalformedPolicyDocument", "Syntax errors in policy.")
	}
	size := len(strings.Join(strings.Fields(document), ""))
	for name, other := range u.inline {
		if name != c.param("PolicyName") {
			size += len(strings.Join(strings.Fields(other), ""))
		}
	}
	if size > 2048 && len(u.inline) < 20 { // what Belongings gives is beyond any quota
		return "", refuse(409, "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user %s", u.name)
	}
	u.inline[c.param("PolicyName")] = document
	return "", nil
}

func listUserPolicies(c *call, u *user) (string, *refusal) {
	return c.page("PolicyNames", sortedKeys(u.inline), escape)
}

func attachUserPolicy(c *call, u *user) (string, *refusal) {
	arn := c.param("PolicyArn")
	if _, known := c.policies[arn]; !known {
		return "", refuse(404, "NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
	}
	u.attached[arn] = true
	return "", nil
}

func listAttached(c *call, u *user) (string, *refusal) {
	return c.page("AttachedPolicies", sortedKeys(u.attached), func(arn string) string { return element("PolicyArn", escape(arn)) })
}

func listGroups(c *call, u *user) (string, *refusal) {
	return c.page("Groups", sortedKeys(u.groups), c.describeGroup)
}

func (c *call) describeGroup(name string) string {
	return element("GroupName", escape(name)) + element("Path", "/") + element("GroupId", "AGPA"+rand.Text()[:16]) +
		element("Arn", "arn:aws:iam::"+c.account()+":group/"+escape(name)) + element("CreateDate", "2020-01-01T00:00:00Z")
}

func addToGroup(c *call, u *user) (string, *refusal) {
	if _, known := c.groups[c.param("GroupName")]; !known {
		return "", noEntity("group", c.param("GroupName"))
	}
	u.groups[c.param("GroupName")] = true
	return "", nil
}

func (c *call) getGroup() (string, *refusal) {
	if _, known := c.groups[c.param("GroupName")]; !known {
		return "", noEntity("group", c.param("GroupName"))
	}
	return element("Group", c.describeGroup(c.param("GroupName"))) + element("Users", "") + element("IsTruncated", "false"), nil
}

func (c *call) getPolicy() (string, *refusal) {
	if _, known := c.policies[c.param("PolicyArn")]; !known {
		return "", refuse(404, "NoSuchEntity", "Policy %s was not found.", c.param("PolicyArn"))
	}
	return element("Policy", element("Arn", escape(c.param("PolicyArn")))), nil
}

func deleteLoginProfile(_ *call, u *user) (string, *refusal) {
	if !u.password {
		return "", noEntity("Login Profile for User", u.name)
	}
	u.password = false
	return "", nil
}

// removeFrom removes what a parameter names from a set of the user's.
func removeFrom[V any](parameter string, of func(*user) map[string]V) func(*call, *user) (string, *refusal) {
	return func(c *call, u *user) (string, *refusal) {
		name := c.param(parameter)
		if _, there := of(u)[name]; !there {
			return "", noEntity(parameter, name)
		}
		delete(of(u), name)
		return "", nil
	}
}

func listOf(list, field string, of func(*user) map[string]bool) func(*call, *user) (string, *refusal) {
	return func(c *call, u *user) (string, *refusal) {
		return c.page(list, sortedKeys(of(u)), func(name string) string {
			return element("UserName", escape(u.name)) + element(field, escape(name)) + element("ServiceName", "codecommit.amazonaws.com")
		})
	}
}

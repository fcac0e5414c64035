package awsiam_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/awsclient/awstest"
	"broker/providers/awsiam"
)

// The page's policy is the one that the tests give to their root account.
func TestReadmePreparesTheRootAccount(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), "```json\n"+awstest.RootPolicy+"\n```") {
		t.Errorf("the page lacks the policy:\n%s", awstest.RootPolicy)
	}
}

func TestValidateOptions(t *testing.T) {
	for _, test := range []struct {
		options map[string]any
		field   string // with a problem, "" for none
		says    string
	}{
		{map[string]any{"groups": "readers"}, "", ""},
		{map[string]any{"groups": "arn:aws-cn:iam::123456789012:group/path/readers"}, "", ""},
		{map[string]any{}, "groups", "at least one group"},
		{map[string]any{"groups": "arn:aws:iam::123456789012:user/ada"}, "groups", "no ARN of a group"},
		{map[string]any{"groups": "a b"}, "groups", "no name of a group"},
		{map[string]any{"policy_arns": "ReadOnlyAccess"}, "policy_arns", "no ARN of a managed policy"},
		{map[string]any{"policy_arns": "arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess"}, "", ""},
		{map[string]any{"inline_policy": `{"Statement":`}, "inline_policy", "is no JSON"},
		{map[string]any{"inline_policy": `{"Version":"2012-10-17"}`}, "inline_policy", "no Statement"},
		{map[string]any{"inline_policy": `{"Statement":[` + strings.Repeat(" \n", 3000) + `]}`}, "", ""},
		{map[string]any{"inline_policy": `{"Statement":"` + strings.Repeat("x", 2048) + `"}`}, "inline_policy", "2048"},
		{map[string]any{"groups": "g", "iam_path": "broker"}, "iam_path", "begins and ends with a slash"},
		{map[string]any{"groups": "g", "iam_path": "/a/b/"}, "", ""},
		{map[string]any{"groups": "g", "permission_boundary_arn": "x"}, "permission_boundary_arn", "no ARN"},
		{map[string]any{"groups": "g", "tags": []any{"team=a=b", "öl=ja"}}, "", ""},
		{map[string]any{"groups": "g", "tags": "team"}, "tags", "key=value"},
		{map[string]any{"groups": "g", "tags": "aws:x=1"}, "tags", "AWS's own"},
		{map[string]any{"groups": "g", "tags": "Broker-Lease=1"}, "tags", "already"},
		{map[string]any{"groups": "g", "tags": []any{"a=1", "A=2"}}, "tags", "already"},
	} {
		options, problems := awsiam.Provider{}.Describe().ValidateOptions(test.options)
		problems = append(problems, awsiam.Provider{}.ValidateOptions(options)...)
		switch {
		case test.field == "" && len(problems) > 0:
			t.Errorf("%v: got %v, want none", test.options, problems)
		case test.field != "" && (len(problems) != 1 || problems[0].Field != test.field || !strings.Contains(problems[0].Message, test.says)):
			t.Errorf("%v: got %v, want one of %s with %q", test.options, problems, test.field, test.says)
		}
	}
}

func TestCheckOptions(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.fake.PutGroup("others")
	for _, test := range []struct {
		options map[string]any
		says    string
	}{
		{map[string]any{}, ""},
		{map[string]any{"groups": "no_such_group"}, "may not do iam:AddUserToGroup"}, // it may not look either
		{map[string]any{"groups": "arn:aws:iam::999999999999:group/readers"}, "of account 999999999999"},
		{map[string]any{"groups": "arn:aws-cn:iam::123456789012:group/readers"}, "of partition aws-cn"},
		{map[string]any{"groups": "others"}, "may not do iam:AddUserToGroup"},
		{map[string]any{"policy_arns": noPolicy}, "there is no policy"},
		{map[string]any{"policy_arns": "arn:aws:iam::aws:policy/ReadOnlyAccess"}, ""},
		{map[string]any{"permission_boundary_arn": noPolicy}, "there is no policy"},
	} {
		problems, err := providers.CheckOptions(k.ctx(), k.Backend, k.grant(test.options).Options)
		if err != nil {
			t.Errorf("%v: %v", test.options, err)
			continue
		}
		var text string
		for _, p := range problems {
			text += p.Error() + "\n"
		}
		if (test.says == "") != (text == "") || !strings.Contains(text, test.says) {
			t.Errorf("%v: got %q, want %q", test.options, text, test.says)
		}
	}
	k.want()
}

// The policy of the page may be narrowed: the root account gives what is listed, and that inside a boundary.
func TestNarrowedRoot(t *testing.T) {
	t.Parallel()
	k := open(t)
	boundary := k.fake.PutPolicy("leased", awstest.ReadPolicy)
	policy := strings.Replace(awstest.RootPolicy, `"Resource": "arn:aws:iam::*:user/*brk_*"`, `"Resource": "arn:aws:iam::*:user/*brk_*",
      "Condition": {"StringEquals": {"iam:PermissionsBoundary": "`+boundary+`"}}`, 1)
	policy = strings.Replace(policy, `"Sid": "Lookups"`, `"Sid": "All", "Effect": "Allow", "Action": ["iam:GetUser", "iam:*AccessKey*", "iam:*Polic*", "iam:DeleteUser", "iam:List*", "iam:Delete*"], "Resource": "arn:aws:iam::*:user/*brk_*"}, {"Sid": "Lookups"`, 1)
	b := k.with(k.fake.NewRoot("narrow", policy), "")
	if _, err := b.Create(k.ctx(), k.grant(nil)); err == nil {
		t.Error("a user without the boundary was made")
	}
	grant := k.grant(map[string]any{"permission_boundary_arn": boundary})
	values, err := b.Create(k.ctx(), grant)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.fake.LogIn(k.ctx(), plain(values)); err != nil {
		t.Error(err)
	}
	if err := k.revoke(b, grant.Login); err != nil {
		t.Error(err)
	}
	k.want()
}

// No secret stands in the log of the server, nor in a preview.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	d := awsiam.Provider{}.Describe()
	settings, _ := d.ValidateConnection(server.Connection())
	b, err := awsiam.Hasty(settle).Open(settings, providers.Env{ClusterID: clusterID, Prefix: "brk_hide_"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	options, _ := d.ValidateOptions(server.Options())
	login := providers.Login{Name: "brk_hide_test_abcdefghijklmnop", ExpiresAt: time.Now().Add(time.Hour), Options: options}
	values, err := b.Create(t.Context(), providers.Grant{Login: login, LeaseID: "x", Deadline: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Revoke(t.Context(), []providers.Login{login})[login.Name]; err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(server.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{values["secret_access_key"].Reveal(), server.Root.Secret} {
		if strings.Contains(string(log), secret) {
			t.Error("a secret is in the server's log")
		}
	}
}

// Whatever options are accepted can be shown as commands of one line each, and come back from the shell as they were.
func FuzzOptions(f *testing.F) {
	f.Add("readers", "team=payments", "/", `{"Statement":[]}`)
	f.Add(`a"b'c`, "k'=v\n", "/'/", `{"Statement":"it's"}`)
	f.Add("ж", "\\=\x00", "//", "{\"Statement\":\n\"`$(x)`\"}")
	f.Fuzz(func(t *testing.T, group, tag, path, document string) {
		options := providers.Options{"groups": []string{group}, "tags": []string{tag}, "iam_path": path, "inline_policy": document}
		if problems := (awsiam.Provider{}).ValidateOptions(options); len(problems) > 0 {
			return
		}
		for _, step := range (awsiam.Provider{}).Preview(nil, options, "brk_abcd_x", time.Time{}) {
			if strings.ContainsAny(step, "\n\r") {
				t.Errorf("a step of several lines: %q", step)
			}
			if bare := outsideQuotes(step); strings.ContainsAny(bare, "`$\"&;|<>*?()") {
				t.Errorf("a shell would understand something in %q", step)
			}
		}
	})
}

// outsideQuotes leaves out what stands between single quotes, and an escaped quote.
func outsideQuotes(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(strings.ReplaceAll(text, `\'`, ""), "'") {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// AWS's own policies are there in every account, AdministratorAccess among them: naming one is as much as writing it.
func TestPoliciesAreStatements(t *testing.T) {
	for _, field := range (awsiam.Provider{}).Describe().Options {
		if want := field.Name == "policy_arns" || field.Name == "inline_policy"; field.Statements != want {
			t.Errorf("%s counts as statements: %t, want %t", field.Name, field.Statements, want)
		}
	}
}

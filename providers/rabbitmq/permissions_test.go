package rabbitmq_test

import (
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/rabbitmq"
)

func TestPermissions(t *testing.T) {
	for line, want := range map[string]string{
		`vhost=/orders configure=^$ write=^orders$ read=.*`: `permissions/%2Forders/brk_x {"configure":"^$","read":".*","write":"^orders$"}`,
		`read=.*`:                                `permissions/%2F/brk_x {"configure":"^$","read":".*","write":"^$"}`,
		`  vhost="my host"  write="^a b$"`:       `permissions/my%20host/brk_x {"configure":"^$","read":"^$","write":"^a b$"}`,
		`vhost=a read="^\d+ \"x\" é$"`:           `permissions/a/brk_x {"configure":"^$","read":"^\\d+ \"x\" é$","write":"^$"}`,
		`vhost=a?b#c%2F read=a=b`:                `permissions/a%3Fb%23c%252F/brk_x {"configure":"^$","read":"a=b","write":"^$"}`,
		`vhost=a read=`:                          `permissions/a/brk_x {"configure":"^$","read":"","write":"^$"}`,
		`vhost="/" configure="" write="" read=x`: `permissions/%2F/brk_x {"configure":"","read":"x","write":""}`,
	} {
		given := providers.Options{"permissions": []string{line}}
		if problems := (rabbitmq.Provider{}).ValidateOptions(given); len(problems) > 0 {
			t.Errorf("%s: %v", line, problems)
		}
		if got := (rabbitmq.Provider{}).Preview(nil, given, "brk_x", time.Time{})[1]; got != "PUT /api/"+want {
			t.Errorf("%s:\ngot  %s\nwant PUT /api/%s", line, got, want)
		}
	}
	for _, test := range []struct {
		options providers.Options
		want    string
	}{
		{providers.Options{}, "say what"},
		{providers.Options{"permissions": []string{"vhost=/ read"}}, `at "read"`},
		{providers.Options{"permissions": []string{"host=/"}}, "want vhost="},
		{providers.Options{"permissions": []string{"read=a read=b"}}, "twice"},
		{providers.Options{"permissions": []string{`read="a`}}, "end with a quote"},
		{providers.Options{"permissions": []string{`read="a"b`}}, "end with a quote"},
		{providers.Options{"permissions": []string{`vhost= read=a`}}, "vhost is empty"},
		{providers.Options{"permissions": []string{"read=a\nwrite=b"}}, "cannot be printed"},
		{providers.Options{"permissions": []string{"vhost=.. read=a"}}, "path"},
		{providers.Options{"permissions": []string{"read=a", "vhost=/ write=b"}}, "two lines"},
		{providers.Options{"permissions": []string{"read=a"}, "topic_permissions": []string{"read=a"}}, "lacks the exchange"},
		{providers.Options{"permissions": []string{"read=a"}, "topic_permissions": []string{"vhost=b exchange=c"}}, "not among"},
		{providers.Options{"permissions": []string{"read=a"}, "topic_permissions": []string{"exchange=c", "exchange=c"}}, "two lines"},
		{providers.Options{"tags": []string{"Administrator"}}, "option of its own"},
		{providers.Options{"tags": []string{"monitoring,administrator"}}, "is none"},
		{providers.Options{"tags": []string{"broker:x"}}, "is none"},
	} {
		problems := rabbitmq.Provider{}.ValidateOptions(test.options)
		if len(problems) == 0 || !strings.Contains(problems[0].Message, test.want) {
			t.Errorf("%v: got %v, want %q", test.options, problems, test.want)
		}
	}
}

// Whatever is let through is one path and one body: nothing of it becomes another request, another user's or a tag.
func FuzzOptions(f *testing.F) {
	for _, seed := range []string{"vhost=/ read=.*", `vhost="a/../../users/admin" read=x`, "vhost=.. read=", "read=\r\nDELETE", `read="\""`, `vhost="?" read=a`, "vhost=%2e%2e read=a", "vhost=a\x00b read=a", `vhost="` + "\u202e" + `" read=a`} {
		f.Add(seed, "monitoring")
	}
	f.Add("read=a", "x,administrator")
	f.Fuzz(func(t *testing.T, line, tag string) {
		given := providers.Options{"permissions": []string{line}, "tags": []string{tag}}
		if problems := (rabbitmq.Provider{}).ValidateOptions(given); len(problems) > 0 {
			return
		}
		lines := rabbitmq.Provider{}.Preview(nil, given, "brk_x", time.Time{})
		if len(lines) != 4 || strings.Contains(strings.ToLower(lines[0]), "administrator") || strings.Count(lines[0], ",broker") != 2 {
			t.Fatalf("%q, %q: %q", line, tag, lines)
		}
		path, _, _ := strings.Cut(strings.TrimPrefix(lines[1], "PUT /api/"), " ")
		parts := strings.Split(path, "/")
		if len(parts) != 3 || parts[0] != "permissions" || parts[1] == "." || parts[1] == ".." || parts[2] != "brk_x" || strings.ContainsAny(path, "?#\r\n\\ ") {
			t.Fatalf("%q: path %q", line, path)
		}
	})
}

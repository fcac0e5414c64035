package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"broker/providers"
	"broker/providers/redis"
	"broker/providers/redis/redistest"
)

func TestRules(t *testing.T) {
	good := [][]string{
		{"~orders:*", "+@read"}, {"~orders:* +@read  +get"}, {"%R~orders:*", "%rw~x", "&news.*", "+client|setname", "-@dangerous"},
		{"allkeys", "ALLCOMMANDS", "resetchannels"}, {"(+get ~a:*)"}, {"+@all -@dangerous (  +set   %W~b:* )"}, {"~größe:*", "+json.get"}, {`~a[bc]?\*`},
	}
	for _, rules := range good {
		if problems := (redis.Provider{}).ValidateOptions(providers.Options{"rules": rules}); len(problems) > 0 {
			t.Errorf("%q: %v", rules, problems)
		}
	}
	bad := map[string]string{
		"on": "broker's", "NOPASS": "broker's", "reset": "broker's", ">canary": "broker's", "#abc": "broker's", "<canary": "broker's", "!abc": "broker's",
		"skip-sanitize-payload": "broker's", "(~a on)": "broker's", "(+get ~a": "does not end", "()": "is empty", "~": "is none", "%X~a": "is none",
		"%R~": "is none", "+": "is none", "+@": "is none", "get": "is none", "+get;": "is none", `~a"b`: "quote", "~a'b": "quote", "~a(b": "parenthesis", "~a\x01": "printed",
		"+config|set": "admin_rules", "+ACL": "admin_rules", "+client|list": "admin_rules", "(+replicaof ~a)": "admin_rules", "": "",
	}
	for rule, want := range bad {
		problems := redis.Provider{}.ValidateOptions(providers.Options{"rules": []string{rule}})
		if len(problems) == 0 || !strings.Contains(problems[0].Message, want) {
			t.Errorf("%q: got %v, want %q", rule, problems, want)
		}
		if strings.Contains(fmt.Sprint(problems), "canary") {
			t.Errorf("%q: what may be a password is repeated", rule)
		}
	}
	if problems := (redis.Provider{}).ValidateOptions(providers.Options{"admin_rules": []string{"+config|get"}}); len(problems) > 0 {
		t.Errorf("admin_rules: %v", problems)
	}
}

// Whatever the rules say, a leased user is not made an administrator by them.
func TestRulesGiveNoAdministration(t *testing.T) {
	k := open(t, server, nil)
	for _, rules := range []string{"+@all ~* &*", "allcommands allkeys", "+@admin", "+@slow", "+@dangerous", "(+@all ~* &*)", "+@all (+@admin ~*) (+@slow)"} {
		login, made := k.create(map[string]any{"rules": rules})
		client := server.Client(made["username"].Reveal(), made["password"].Reveal())
		for _, command := range []string{"ACL LIST", "ACL SETUSER x on", "CONFIG GET requirepass", "DEBUG SLEEP 0", "REPLICAOF NO ONE", "MONITOR", "SHUTDOWN NOSAVE"} {
			var args []any
			for word := range strings.FieldsSeq(command) {
				args = append(args, word)
			}
			if err := client.Do(t.Context(), args...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
				t.Errorf("rules %q permit %s: %v", rules, command, err)
			}
		}
		client.Close()
		k.mustRevoke(login)
	}
	login, made := k.create(map[string]any{"rules": "+ping", "admin_rules": "+config|get"})
	client := server.Client(made["username"].Reveal(), made["password"].Reveal())
	defer client.Close()
	if err := client.Do(t.Context(), "CONFIG", "GET", "maxmemory").Err(); err != nil {
		t.Errorf("admin_rules are not given: %v", err)
	}
	k.mustRevoke(login)
}

func TestCheckOptionsChangesNothing(t *testing.T) {
	k := open(t, server, nil)
	before := fmt.Sprint(server.MustDo(t, "ACL", "LIST"))
	problems, err := providers.CheckOptions(t.Context(), k.Backend, options(t, map[string]any{
		"rules": []any{"~orders:*", "+no_such_command", "+@no_such_category", "+get", "(+set ~a +no_such_either)"}, "admin_rules": "+client|no_such",
	}))
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field)
		if !strings.Contains(p.Message, "no_such") {
			t.Errorf("got %v, which does not name the rule", p)
		}
	}
	if got := strings.Join(fields, " "); got != "rules rules rules admin_rules" {
		t.Errorf("got %v", problems)
	}
	if after := fmt.Sprint(server.MustDo(t, "ACL", "LIST")); before != after {
		t.Errorf("checking changed the users:\n%s\n%s", before, after)
	}
}

// Every rule that is let through can be read again from where the server keeps it: one that it stumbled over would keep
// it from starting.
func TestOddPatternsOutliveARestart(t *testing.T) {
	var odd strings.Builder
	for r := '!'; r <= '~'; r++ {
		if !strings.ContainsRune(`"'()`, r) {
			odd.WriteRune(r)
		}
	}
	for _, persist := range []string{"aclfile", "config"} {
		own := redistest.StartWith(t, redistest.Config{Persist: persist})
		own.MustPrepare(t)
		k := open(t, own, nil)
		login, made := k.create(map[string]any{"rules": []any{"~" + odd.String(), "&" + odd.String() + "äß字", "%R~#x", "(~" + odd.String() + "2 +set)", "~#", "+@read"}})
		if err := own.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := own.Start(t.Context()); err != nil {
			t.Fatalf("persist=%s: %v", persist, err)
		}
		if err := k.logIn(made); err != nil {
			t.Errorf("persist=%s: logging in after a restart: %v", persist, err)
		}
		k.mustRevoke(login)
	}
}

// What validation lets through is taken by the server as rules, or refused as a whole, and never says who may log in.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{"~orders:* +@read", "on >x", "(+get ~a) (", "~a\nuser evil on nopass ~* +@all", "%RW~\x00", "+@all\u00a0on", "&\u202e", `~\"`, "~'", "#", "((", "(>x)", "~a\rb", "nopass", "NoPaSs", "+client|kill"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules := providers.Options{"rules": []string{text}}
		if problems := (redis.Provider{}).ValidateOptions(rules); len(problems) > 0 {
			return
		}
		lines := redis.Provider{}.Preview(providers.Settings{}, rules, "brk_x", time.Time{})
		for _, line := range lines {
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("%q: a line of its own: %q", text, line)
			}
			if !strings.HasPrefix(line, "ACL SETUSER") {
				continue
			}
			words := strings.Fields(line)
			for _, word := range words[3 : len(words)-1] {
				word = strings.ToLower(strings.Trim(word, "()"))
				if word == "on" || word == "nopass" || word == "reset" || word == "off" || strings.HasPrefix(word, ">") || strings.HasPrefix(word, "!") {
					t.Errorf("%q: rule %q reached the server", text, word)
				}
			}
			if !strings.Contains(line, "-@admin") {
				t.Errorf("%q: nothing takes administration away: %q", text, line)
			}
		}
	})
}

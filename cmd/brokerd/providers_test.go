package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"broker/providers"
)

var updatePages = flag.Bool("update-pages", false, "write the tables of the providers' pages anew")

// everyProvider calls test for each provider that the daemon knows, those for measuring apart.
func everyProvider(t *testing.T, test func(t *testing.T, p providers.Provider, d providers.Description)) {
	registry, err := concreteProviders(false)
	must(t, err)
	for _, name := range registry.Names() {
		p, _ := registry.Get(name)
		t.Run(name, func(t *testing.T) { test(t, p, p.Describe()) })
	}
}

// pageOf is the file of a provider's page: its package is called like the provider, without what packages cannot be called.
func pageOf(name string) string {
	return filepath.Join("..", "..", "providers", strings.NewReplacer("-", "", "_", "").Replace(name), "README.md")
}

// The lines between which a page's tables stand.
const (
	describedBegins = "<!-- described -->\n"
	describedEnds   = "<!-- /described -->"
)

// TestProviderPages holds the tables of every provider's page against its description; -update-pages writes them.
func TestProviderPages(t *testing.T) {
	everyProvider(t, func(t *testing.T, _ providers.Provider, d providers.Description) {
		file := pageOf(d.Name)
		page := mustRead(t, file)
		before, rest, begins := strings.Cut(page, describedBegins)
		is, after, ends := strings.Cut(rest, describedEnds)
		if !begins || !ends {
			t.Fatalf("%s has no place for the tables: the lines %q and %q", file, strings.TrimSpace(describedBegins), describedEnds)
		}
		want := tablesOf(d)
		if is == want {
			return
		}
		if !*updatePages {
			t.Fatalf("the tables in %s are not what the provider says: go test ./cmd/brokerd -run ProviderPages -update-pages", file)
		}
		must(t, os.WriteFile(file, []byte(before+describedBegins+want+describedEnds+after), 0o644)) //nolint:gosec // a page is no secret
	})
}

// tablesOf writes what a description says as tables.
func tablesOf(d providers.Description) string {
	var out strings.Builder
	fields := func(title string, list []providers.Field) {
		fmt.Fprintf(&out, "### %s\n\n| name | type | default | |\n|---|---|---|---|\n", title)
		for _, f := range list {
			text := f.Help
			if f.Required {
				text = "**Required.** " + text
			}
			if f.Secret {
				text += " Secret: write-only, kept sealed."
			}
			if f.Locates {
				text += " Says which system it is: a change needs `--system`."
			}
			if f.Statements {
				text += " Needs `connection:statements`."
			}
			if f.Example != "" {
				text += " Example: `" + f.Example + "`."
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.Name, typeOf(f), cell(defaultOf(f)), cell(text))
		}
	}
	fields("Settings of a connection", d.Connection)
	out.WriteString("\n")
	fields("Options of a secret", d.Options)
	if len(d.Parameters) > 0 {
		out.WriteString("\n")
		fields("Parameters of a request for a lease", d.Parameters)
	}
	out.WriteString("\n### Outputs of a lease\n\n| name | masked | |\n|---|---|---|\n")
	for _, o := range d.Outputs {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", o.Name, map[bool]string{true: "yes", false: "no"}[o.Secret], cell(o.Help))
	}
	return out.String()
}

func typeOf(f providers.Field) string {
	text := string(f.Type)
	switch {
	case len(f.Enum) > 0:
		text = "`" + strings.Join(f.Enum, "` `") + "`"
	case f.Min != nil && f.Max != nil:
		text += fmt.Sprintf(", %d to %d", *f.Min, *f.Max)
	case f.Min != nil:
		text += fmt.Sprintf(", at least %d", *f.Min)
	case f.Max != nil:
		text += fmt.Sprintf(", at most %d", *f.Max)
	}
	return text
}

func defaultOf(f providers.Field) string {
	if f.Default == nil {
		return ""
	}
	return fmt.Sprintf("`%v`", f.Default)
}

// cell is a text that stays in its cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

var snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// shortestLogin is how long a login's name is at the least: prefix, cluster and unique part.
var shortestLogin = len(providers.NewLoginName(providers.DefaultPrefix, "c4c4", "", strings.Repeat("x", 16), 0))

// TestDescriptions holds what every provider says of itself to the same rules: forms, help and pages are made from it.
func TestDescriptions(t *testing.T) {
	everyProvider(t, func(t *testing.T, p providers.Provider, d providers.Description) {
		if !strings.HasSuffix(d.Summary, ".") || d.Title == "" || d.Name != strings.ToLower(d.Name) {
			t.Errorf("name %q, title %q, summary %q: want lower case, a title and a sentence", d.Name, d.Title, d.Summary)
		}
		if d.MaxLoginName < shortestLogin {
			t.Errorf("login names of at most %d bytes: ours have %d at the least, and there is a limit everywhere", d.MaxLoginName, shortestLogin)
		}
		for what, list := range map[string][]providers.Field{"setting": d.Connection, "option": d.Options, "parameter": d.Parameters} {
			for _, f := range list {
				checkField(t, what, f)
			}
		}
		if i := slices.IndexFunc(d.Options, func(f providers.Field) bool { return f.Name == providers.OptionLoginName }); i < 0 {
			t.Errorf("there is no option %s: providers.LoginNameOption()", providers.OptionLoginName)
		}
		for _, f := range d.Options {
			if f.Secret || f.Locates {
				t.Errorf("option %s: options are neither secret nor do they locate a system", f.Name)
			}
		}
		if _, ok := d.Output("username"); !ok {
			t.Error("there is no output username, by which a login is found")
		}
		for _, o := range d.Outputs {
			if !snake.MatchString(o.Name) || !strings.HasSuffix(o.Help, ".") {
				t.Errorf("output %q, help %q: want lower_snake and a sentence", o.Name, o.Help)
			}
			if secretName(o.Name) && !o.Secret {
				t.Errorf("output %s is not masked", o.Name)
			}
		}
		if _, ok := p.(providers.Previewer); !ok {
			t.Error("it cannot preview")
		}
		page := mustRead(t, pageOf(d.Name))
		// Where nobody has a root account there is a service, or an authority whose key the broker keeps.
		prepares := []string{"The root account", "The service", "The authority"}
		if !slices.ContainsFunc(prepares, func(heading string) bool { return strings.Contains(page, "\n## "+heading+"\n") }) {
			t.Errorf("the page has no heading of %q, which says what to prepare", prepares)
		}
		for _, heading := range []string{"## What happens", "## What a dead cluster leaves behind", "## Why a lease is stuck", "## Limits"} {
			if !strings.Contains(page, "\n"+heading+"\n") {
				t.Errorf("the page has no heading %q", heading)
			}
		}
	})
}

func checkField(t *testing.T, what string, f providers.Field) {
	t.Helper()
	if !snake.MatchString(f.Name) || !strings.HasSuffix(f.Help, ".") {
		t.Errorf("%s %q, help %q: want lower_snake and a sentence", what, f.Name, f.Help)
	}
	if secretName(f.Name) && !f.Secret && what == "setting" {
		t.Errorf("%s %s is not secret", what, f.Name)
	}
	if f.Secret && f.Default != nil {
		t.Errorf("%s %s is secret and has a default", what, f.Name)
	}
	if len(f.Enum) > 0 && f.Default != nil && !slices.Contains(f.Enum, fmt.Sprint(f.Default)) {
		t.Errorf("%s %s: the default %v is none of %v", what, f.Name, f.Default, f.Enum)
	}
}

// secretName reports whether a value of that name is secret by all that one can tell. Keys' ids, and certificates, are not.
func secretName(name string) bool {
	if slices.ContainsFunc([]string{"_id", "_file", "_length", "_alphabet", "_ttl"}, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	return slices.ContainsFunc([]string{"password", "secret", "private_key", "token"}, func(word string) bool { return strings.Contains(name, word) })
}

package ldap_test

import (
	"os"
	"strings"
	"testing"

	"broker/providers/ldap"
	"broker/providers/ldap/ldaptest"
)

// The page's LDIF is what the tests prepare their root account with, and its template is one.
func TestReadme(t *testing.T) {
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]bool{}
	for rest := string(content); ; {
		_, after, found := strings.Cut(rest, "```ldif\n")
		if !found {
			break
		}
		block, more, _ := strings.Cut(after, "```")
		blocks[block], rest = true, more
		if strings.Contains(block, "{{dn}}") {
			options := map[string]any{"creation_ldif": block}
			if problems := (ldap.Provider{}).ValidateOptions(options); len(problems) > 0 {
				t.Errorf("the page's template is not valid: %v", problems)
			}
		}
	}
	for _, want := range []string{ldaptest.RootEntries("change-me"), ldaptest.RootAccess} {
		if !blocks[want] {
			t.Errorf("the page lacks:\n%s", want)
		}
	}
}

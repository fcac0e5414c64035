package access

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var cedarBlock = regexp.MustCompile("(?ms)^```cedar( refused)?\n(.*?)^```$")

// TestExamplesAreValid reads the examples out of the documents that people copy from.
func TestExamplesAreValid(t *testing.T) {
	l := mustLanguage(t)
	for file, least := range map[string]int{"DESIGN.md": 1, "../docs/access.md": 8} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := cedarBlock.FindAllStringSubmatch(string(text), -1)
		if len(blocks) < least {
			t.Errorf("%s has %d examples, at least %d were there", file, len(blocks), least)
		}
		for _, b := range blocks {
			found := l.Check(b[2])
			if b[1] == "" {
				for _, p := range found {
					t.Errorf("%s: %s\n%s", file, p, b[2])
				}
				continue
			}
			wrong := map[string]bool{}
			for _, p := range found {
				wrong[p.Rule] = true
			}
			if rules := strings.Count(b[2], ";"); len(wrong) != rules {
				t.Errorf("%s: of %d rules that are shown as wrong %d are: %v", file, rules, len(wrong), found)
			}
		}
	}
}

// TestRolesInDocs: the page for those who give roles names all of them.
func TestRolesInDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Roles() {
		if !strings.Contains(string(text), "| `"+string(r.Name)+"` |") {
			t.Errorf("docs/access.md does not tell of role %s", r.Name)
		}
	}
}

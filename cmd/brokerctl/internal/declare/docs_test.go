package declare_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"broker/cmd/brokerctl/internal/declare"
)

var update = flag.Bool("update", false, "rewrite the fields in docs/declarative.md")

const fieldsHeading = "\n## Fields\n"

// The fields in the docs are those that files may have.
func TestDocs(t *testing.T) {
	const path = "../../../../docs/declarative.md"
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(content), fieldsHeading)
	if !ok {
		t.Fatal("there is no heading for fields")
	}
	want := head + fieldsHeading + "\nNames and meaning are those of the API. Fields that are not here (`created_at`, `version`, …) are what the broker tells.\n"
	for _, k := range declare.Kinds() {
		want += "\n**`kind: " + k.Name + "`**: " + k.Help + "\n\n| field | | |\n|---|---|---|\n"
		for _, f := range k.Fields {
			help := f.Help
			for _, one := range []struct {
				is   bool
				text string
			}{{f.Required, "required"}, {f.Fixed && f.Name != "name", "cannot be changed"}, {len(f.Enum) > 0, "one of " + strings.Join(f.Enum, ", ")}} {
				if one.is {
					help = strings.TrimPrefix(help+"; "+one.text, "; ")
				}
			}
			want += "| `" + f.Name + "` | " + string(f.Type) + " | " + help + " |\n"
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(content) {
		t.Error("docs/declarative.md does not have the fields as they are: go test ./cmd/brokerctl/internal/declare -update")
	}
}

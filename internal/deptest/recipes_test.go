package deptest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	block = regexp.MustCompile("(?ms)^( *)```yaml\n(.*?)^ *```")
	link  = regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`)
)

// What a recipe has to paste is YAML, and what it leads to is there.
func TestRecipes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "recipes", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, links := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range block.FindAllStringSubmatch(string(text), -1) {
			blocks++
			lines := strings.ReplaceAll("\n"+found[2], "\n"+found[1], "\n") // without what it is indented by in a list
			var anything any
			if err := yaml.NewDecoder(strings.NewReader(lines)).Decode(&anything); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v in\n%s", filepath.Base(file), err, lines)
			}
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), found[1])); err != nil {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
		}
	}
	if blocks < 6 || links < 15 {
		t.Errorf("%d blocks and %d links only", blocks, links)
	}
}

package deptest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each claim of the threat model names tests that hold it: they exist, where it says.
func TestThreatModelNamesItsTests(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "THREAT_MODEL.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for line := range strings.Lines(string(text)) {
		dir := ""
		for _, match := range regexp.MustCompile("`(\\./[a-z0-9/]+ )?(Test[A-Za-z]+)`").FindAllStringSubmatch(line, -1) {
			if match[1] != "" {
				dir = strings.TrimSpace(match[1])
			}
			named++
			if !hasTest(t, filepath.Join(root, dir), match[2]) {
				t.Errorf("%s has no %s", dir, match[2])
			}
		}
	}
	if named < 40 {
		t.Errorf("it names %d tests only", named)
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

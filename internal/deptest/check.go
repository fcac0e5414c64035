package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Package is what the rules look at of a package.
type Package struct {
	Path    string   `json:"ImportPath"`
	Imports []string `json:"Imports"` // what its own files name
	Deps    []string `json:"Deps"`    // all it reaches, directly or not
}

// List returns the packages of the module that holds dir, test files left out.
func List(dir string) ([]Package, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w\n%s", err, stderr.Bytes())
	}
	var packages []Package
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the list of packages: %w", err)
		}
		packages = append(packages, p)
	}
}

// A Violation is one package that reaches what its rule does not allow.
type Violation struct {
	Rule, Package, Dep string
}

func (v Violation) String() string {
	if v.Dep == "" {
		return fmt.Sprintf("%s has no place: %s (Rules, in rules.go)", v.Package, v.Rule)
	}
	return fmt.Sprintf("%s must not reach %s: %s", v.Package, v.Dep, v.Rule)
}

// Unplaced is the rule that a package without one breaks.
const Unplaced = "every package has its place in the rules"

// Check returns what in packages breaks the rules, sorted by package and dependency.
func Check(rules []Rule, packages []Package) []Violation {
	var found []Violation
	for _, p := range packages {
		path, ours := inModule(p.Path)
		if !ours {
			continue
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return matchAny(r.For, path) })
		if i < 0 {
			found = append(found, Violation{Rule: Unplaced, Package: path})
			continue
		}
		breaks := func(dep string) {
			found = append(found, Violation{Rule: rules[i].Name, Package: path, Dep: dep})
		}
		for _, dep := range p.Deps {
			if inside, ours := inModule(dep); ours && !rules[i].allows(inside) {
				breaks(dep)
			}
		}
		for _, dep := range p.Imports {
			if rules[i].forbids(dep) {
				breaks(dep)
			}
		}
	}
	slices.SortFunc(found, func(a, b Violation) int { return strings.Compare(a.Package+" "+a.Dep, b.Package+" "+b.Dep) })
	return found
}

// allows reports whether the rule lets a package reach one of ours.
func (r Rule) allows(inside string) bool {
	return matchAny(r.May, inside) && (r.Kits || !matchAny(kits, inside))
}

// forbids reports whether the rule keeps a package from naming an import path.
func (r Rule) forbids(path string) bool {
	return !slices.Contains(r.Save, path) && slices.ContainsFunc(r.Never, func(never string) bool { return path == never || strings.HasPrefix(path, never+"/") })
}

// inModule returns the path inside the module, and whether it is in the module at all.
func inModule(path string) (string, bool) {
	return strings.CutPrefix(path, Module+"/")
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, path) })
}

func match(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	p, s := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(p, s, func(p, s string) bool { return p == "*" || p == s })
}

package postgrestest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrNoBinaries is returned when the machine has no PostgreSQL server to run.
var ErrNoBinaries = errors.New("no PostgreSQL server binaries found in /usr/lib/postgresql/*/bin or PATH: apt-get install postgresql")

// Binaries returns the directory that holds initdb and postgres of the newest version installed.
func Binaries() (string, error) {
	candidates, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", fmt.Errorf("looking for PostgreSQL: %w", err)
	}
	slices.SortFunc(candidates, func(a, b string) int { return majorOf(b) - majorOf(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, dir := range candidates {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrNoBinaries
}

// majorOf reads the version from /usr/lib/postgresql/<version>/bin.
func majorOf(dir string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // 0 sorts last
	return version
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

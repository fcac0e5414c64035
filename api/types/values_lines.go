package types

import (
	"fmt"
	"strings"
)

// ShellLines returns export lines that a POSIX shell reads back as they were.
func (v Values) ShellLines() ([]byte, error) {
	var out strings.Builder
	for _, one := range v {
		if strings.ContainsRune(one.Value, 0) {
			return nil, fmt.Errorf("the value of %s cannot be a variable: it holds a NUL", one.Key)
		}
		fmt.Fprintf(&out, "export %s='%s'\n", one.Key, strings.ReplaceAll(one.Value, "'", `'\''`))
	}
	return []byte(out.String()), nil
}

// DotenvLines returns lines of a .env file: in single quotes, which are taken as they stand, where
// the value allows it, else in double quotes with escapes.
func (v Values) DotenvLines() ([]byte, error) {
	var out strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`", "\n", `\n`, "\r", `\r`)
	for _, one := range v {
		if strings.ContainsRune(one.Value, 0) {
			return nil, fmt.Errorf("the value of %s cannot be a variable: it holds a NUL", one.Key)
		}
		if strings.ContainsAny(one.Value, "'\n\r") {
			fmt.Fprintf(&out, "%s=\"%s\"\n", one.Key, escape.Replace(one.Value))
			continue
		}
		fmt.Fprintf(&out, "%s='%s'\n", one.Key, one.Value)
	}
	return []byte(out.String()), nil
}

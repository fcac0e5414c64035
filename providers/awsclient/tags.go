package awsclient

import (
	"fmt"
	"regexp"
	"strings"
)

var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// TagProblems says what is wrong with tags given as key=value, of which AWS takes so many. taken are the keys that
// there are already.
func TagProblems(tags []string, most int, taken ...string) []string {
	var problems []string
	if len(tags) > most {
		problems = append(problems, fmt.Sprintf("are %d, and there is room for %d", len(tags), most))
	}
	seen := map[string]bool{}
	for _, key := range taken {
		seen[strings.ToLower(key)] = true
	}
	for _, tag := range tags {
		key, value, ok := strings.Cut(tag, "=")
		fold := strings.ToLower(key) // keys that differ in case only are the same to AWS
		switch {
		case !ok || key == "" || len(key) > 128 || len(value) > 256 || !tagText.MatchString(tag):
			problems = append(problems, fmt.Sprintf("%q is no tag: want key=value, of letters, digits, spaces and _.:/=+-@", tag))
		case strings.HasPrefix(fold, "aws:"):
			problems = append(problems, fmt.Sprintf("%q: keys that begin with aws: are AWS's own", tag))
		case seen[fold]:
			problems = append(problems, fmt.Sprintf("%q: there is such a tag already", tag))
		}
		seen[fold] = true
	}
	return problems
}

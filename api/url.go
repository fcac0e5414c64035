package api

import (
	"net/http"
	"net/url"
	"strings"

	"broker/access"
)

// maxURL is the longest URL of a request in bytes.
const maxURL = 8 << 10

// plainPath reports whether a path can be read in one way only: no segment is empty, "." or "..", no slash is encoded, and
// there is nothing in it that one reader takes for a separator and another does not. What the router compares is the
// decoded path, so without this a path could be another route than it looks like. A slash at the end is no other route's.
func plainPath(u *url.URL) bool {
	path := u.Path
	if !strings.HasPrefix(path, "/") || strings.Count(path, "/") != strings.Count(u.EscapedPath(), "/") {
		return false
	}
	for i := range len(path) {
		if path[i] < ' ' || path[i] == '\\' || path[i] == 0x7f {
			return false
		}
	}
	if path == "/" {
		return true
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(path[1:], "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// secretPrefixes are those of client secrets and of wrapped values; both have the length of a token.
var secretPrefixes = [...]string{access.ClientSecretPrefix, access.WrappingPrefix}

const (
	secretLength    = 52 + 7
	joinTokenPrefix = "brkj_"
	joinTokenLength = 40 // no join token is shorter
)

// secretInURL reports whether a URL carries a token, a client secret or a wrapping token, whole or as a part of something:
// URLs end up in logs and histories.
func secretInURL(r *http.Request) bool {
	if holdsSecret(r.URL.Path) {
		return true
	}
	if r.URL.RawQuery == "" {
		return false
	}
	if holdsSecret(r.URL.RawQuery) {
		return true // also where the query cannot be read
	}
	for name, values := range r.URL.Query() {
		switch name {
		case "access_token", "client_secret", "password":
			return true
		}
		if holdsSecret(name) {
			return true
		}
		for _, value := range values {
			if holdsSecret(value) {
				return true
			}
		}
	}
	return false
}

// holdsSecret looks for what looks like a secret of the broker.
func holdsSecret(text string) bool {
	for {
		at := strings.Index(text, "brk")
		if at < 0 {
			return false
		}
		text = text[at:]
		if n := len(access.TokenPrefix) + secretLength; len(text) >= n && access.CheckToken(text[:n]) == nil {
			return true
		}
		for _, prefix := range secretPrefixes {
			if rest, ok := strings.CutPrefix(text, prefix); ok && run(rest, secretLength) {
				return true
			}
		}
		if rest, ok := strings.CutPrefix(text, joinTokenPrefix); ok && run(rest, joinTokenLength) {
			return true
		}
		text = text[len("brk"):]
	}
}

// run reports whether a text begins with so many characters that secrets are made of.
func run(text string, n int) bool {
	if len(text) < n {
		return false
	}
	for i := range n {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

package awsclient

import "strings"

const needsNoQuotes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/=,+@"

// Quote writes an argument of a command as a shell takes it, for previews.
func Quote(text string) string {
	if strings.Trim(text, needsNoQuotes) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

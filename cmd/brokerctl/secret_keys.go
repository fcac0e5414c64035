package main

import (
	"context"
	"regexp"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// otherKeys adds to the refusal of keys that another secret has the same outputs under keys of the secret's own, to be
// pasted.
func (a *app) otherKeys(ctx context.Context, c *client.Client, spec types.SecretSpec, options settingFlags, refused error) error {
	outputs := spec.Outputs
	if len(outputs) == 0 {
		provider, err := providerOf(ctx, c, spec.Connection, options)
		if err != nil {
			return refused
		}
		for _, one := range provider.Outputs {
			outputs = append(outputs, types.Output{Key: strings.ToUpper(one.Name), Source: one.Name})
		}
	}
	return &hintedError{err: refused, hint: "keys are one's own in an environment; give others, e.g. " + strings.Join(prefixedOutputs(spec.Name, outputs), " ")}
}

var notInKeys = regexp.MustCompile(`[^A-Z0-9]+`)

// prefixedOutputs are flags for the outputs with the secret's name before each key.
func prefixedOutputs(secret string, outputs []types.Output) []string {
	prefix := notInKeys.ReplaceAllString(strings.ToUpper(secret), "_")
	if prefix[:1] < "A" {
		prefix = "_" + prefix // a key begins with no digit
	}
	var flags []string
	for _, one := range outputs {
		text := prefix + "_" + one.Key + "=" + one.Source
		if strings.ContainsAny(text, " {}|$&") {
			text = "'" + text + "'"
		}
		flags = append(flags, "--output "+text)
	}
	return flags
}

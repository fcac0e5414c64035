package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"broker/api/types"
)

// SplitSecret returns the environment and the short name of a secret's full name, app/env/name.
func SplitSecret(fullName string) (environment, name string, err error) {
	parts := strings.Split(fullName, "/")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", "", fmt.Errorf("%q is no name of a secret: want app/env/name, e.g. payments/production/orders-ro", fullName)
	}
	return parts[0] + "/" + parts[1], parts[2], nil
}

func secretPath(fullName string) (string, error) {
	environment, name, err := SplitSecret(fullName)
	if err != nil {
		return "", err
	}
	path, err := environmentPath(environment)
	if err != nil {
		return "", err
	}
	return path + "/secrets/" + url.PathEscape(name), nil
}

// CreateSecret makes a secret in an environment.
func (c *Client) CreateSecret(ctx context.Context, environment string, spec types.SecretSpec, options ...Option) (types.Secret, error) {
	var out types.Secret
	path, err := environmentPath(environment)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "creating secret "+environment+"/"+spec.Name, &call{method: http.MethodPost, path: path + "/secrets", body: spec, answer: &out}, options...)
	return out, err
}

// GetSecret returns a secret by its full name.
func (c *Client) GetSecret(ctx context.Context, fullName string, options ...Option) (types.Secret, error) {
	var out types.Secret
	path, err := secretPath(fullName)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "getting secret "+fullName, &call{method: http.MethodGet, path: path, answer: &out}, options...)
	return out, err
}

// ListSecrets returns a page of secrets by full name; an empty environment means all of them.
func (c *Client) ListSecrets(ctx context.Context, environment string, list ListOptions, options ...Option) (types.Page[types.Secret], error) {
	var out types.Page[types.Secret]
	path := "/api/v1/secrets"
	if environment != "" {
		inside, err := environmentPath(environment)
		if err != nil {
			return out, err
		}
		path = inside + "/secrets"
	}
	err := c.do(ctx, "listing secrets", &call{method: http.MethodGet, path: path, query: list.values(), answer: &out}, options...)
	return out, err
}

// UpdateSecret changes a secret.
func (c *Client) UpdateSecret(ctx context.Context, fullName string, change types.SecretChange, options ...Option) (types.Secret, error) {
	var out types.Secret
	path, err := secretPath(fullName)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "updating secret "+fullName, &call{method: http.MethodPatch, path: path, body: change, answer: &out}, options...)
	return out, err
}

// DeleteSecret removes a secret without live leases.
func (c *Client) DeleteSecret(ctx context.Context, fullName string, options ...Option) error {
	path, err := secretPath(fullName)
	if err != nil {
		return err
	}
	return c.do(ctx, "deleting secret "+fullName, &call{method: http.MethodDelete, path: path}, options...)
}

// DeleteSecretWithLeases revokes a secret's leases and removes it then.
func (c *Client) DeleteSecretWithLeases(ctx context.Context, fullName, reason string, options ...Option) (types.Operation, error) {
	path, err := secretPath(fullName)
	if err != nil {
		return types.Operation{}, err
	}
	return c.deleteWithLeases(ctx, "secret "+fullName, path, reason, options)
}

// TestSecret has a secret tested. A step that failed is no error: the answer tells it.
func (c *Client) TestSecret(ctx context.Context, fullName string, spec types.SecretTestSpec, options ...Option) (types.SecretTest, error) {
	var out types.SecretTest
	path, err := secretPath(fullName)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, "testing secret "+fullName, &call{method: http.MethodPost, path: path + "/test", body: spec, answer: &out}, options...)
	return out, err
}

// PreviewSecret returns what a lease of a secret would do, for the account or, when it is empty, for whoever asks.
func (c *Client) PreviewSecret(ctx context.Context, fullName, account string, options ...Option) (types.SecretPreview, error) {
	var out types.SecretPreview
	path, err := secretPath(fullName)
	if err != nil {
		return out, err
	}
	query := url.Values{}
	if account != "" {
		query.Set("account", account)
	}
	err = c.do(ctx, "previewing secret "+fullName, &call{method: http.MethodGet, path: path + "/preview", query: query, answer: &out}, options...)
	return out, err
}

package agent

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// The marks of a Secret that an agent wrote. A Secret without them is somebody else's.
const (
	managedBy      = "app.kubernetes.io/managed-by"
	managedByAgent = "brokerctl-agent"

	leasesAnnotation = "brokerctl-agent/leases"
	secretAnnotation = "brokerctl-agent/secret"
)

// opaque is a Secret of Kubernetes.
type opaque struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   metadata          `json:"metadata"`
	Type       string            `json:"type,omitempty"`
	Data       map[string][]byte `json:"data"`
}

// deletion says which object is meant.
type deletion struct {
	APIVersion    string `json:"apiVersion"`
	Kind          string `json:"kind"`
	Preconditions struct {
		UID             string `json:"uid,omitempty"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"preconditions"`
}

// digestOf tells contents of Secrets apart.
func digestOf(data map[string][]byte) string {
	text, err := asJSON(data, "") // with sorted keys
	if err != nil {
		return ""
	}
	return digest(text)
}

// readSecret returns the Secret as it is, nil when there is none.
func (k *kubernetes) readSecret(ctx context.Context, o *Object) (*opaque, error) {
	var found opaque
	err := k.call(ctx, http.MethodGet, k.path("/api/v1", "secrets", o.ObjectName), nil, &found)
	if answered(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Secret %s: %w", o.ObjectName, err)
	}
	return &found, nil
}

// writeSecret puts data into the Secret, all at once, unless somebody changed it since it was found.
func (k *kubernetes) writeSecret(ctx context.Context, o *Object, found *opaque, secret string, leases []string, data map[string][]byte) error {
	out := opaque{APIVersion: "v1", Kind: "Secret", Type: o.Type, Data: data}
	method, path := http.MethodPut, k.path("/api/v1", "secrets", o.ObjectName)
	switch {
	case found == nil:
		method, path = http.MethodPost, k.path("/api/v1", "secrets", ObjectName{Namespace: o.Namespace})
		out.Metadata = metadata{Name: o.Name, Namespace: k.space(o.ObjectName)}
		if out.Type == "" {
			out.Type = "Opaque"
		}
	case found.Metadata.Labels[managedBy] != managedByAgent:
		return fmt.Errorf("the Secret %s is not the agent's: delete it, or label it %s=%s to have it overwritten", o.ObjectName, managedBy, managedByAgent)
	default:
		out.Metadata = found.Metadata // with the version that is replaced
		if out.Type == "" {
			out.Type = found.Type
		}
	}
	out.Metadata.Labels = merged(out.Metadata.Labels, o.Labels, map[string]string{managedBy: managedByAgent})
	out.Metadata.Annotations = merged(out.Metadata.Annotations, o.Annotations, map[string]string{leasesAnnotation: strings.Join(leases, ","), secretAnnotation: secret})
	if err := k.call(ctx, method, path, out, &opaque{}); err != nil {
		return fmt.Errorf("writing the Secret %s: %w", o.ObjectName, err)
	}
	return nil
}

// removeSecret deletes the Secret if it is the agent's, unless somebody changed it since it was found.
func (k *kubernetes) removeSecret(ctx context.Context, o *Object, found *opaque) error {
	if found == nil || found.Metadata.Labels[managedBy] != managedByAgent {
		return nil
	}
	as := deletion{APIVersion: "v1", Kind: "DeleteOptions"}
	as.Preconditions.UID, as.Preconditions.ResourceVersion = found.Metadata.UID, found.Metadata.ResourceVersion
	err := k.call(ctx, http.MethodDelete, k.path("/api/v1", "secrets", o.ObjectName), as, &struct{}{})
	if err != nil && !answered(err, http.StatusNotFound) {
		return fmt.Errorf("deleting the Secret %s: %w", o.ObjectName, err)
	}
	return nil
}

func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, one := range all {
		maps.Copy(out, one)
	}
	return out
}

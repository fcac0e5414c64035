package broker

import (
	"context"
	"reflect"
	"slices"

	"broker/fsm"
)

// ChangedSecrets returns the names of the secret fields among the given settings, sorted, whose value is not the one that
// the connection has; a nil value removes the field. It is for whoever may set them: who asks learns whether a value is
// the present one. Fields that the provider would not take are left to UpdateConnection.
func (b *Broker) ChangedSecrets(ctx context.Context, name fsm.ConnectionName, given map[string]any) ([]string, error) {
	p, _, leave, err := b.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	record, kind, err := p.currentSystem(name)
	if err != nil {
		return nil, err
	}
	before, err := p.settings(record.System)
	if err != nil {
		return nil, err
	}
	after, _ := kind.Describe().ValidateConnection(merge(before, given))
	var changed []string
	for _, f := range kind.Describe().Connection {
		if _, told := given[f.Name]; told && f.Secret && !reflect.DeepEqual(before[f.Name], after[f.Name]) {
			changed = append(changed, f.Name)
		}
	}
	slices.Sort(changed)
	return changed, nil
}

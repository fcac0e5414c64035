package crashtest

import (
	"fmt"
	"time"

	"broker/fsm"
)

// furnish writes what leases need into the log.
func (w *world) furnish() {
	w.mustMeddle(&fsm.InitCluster{ClusterID: clusterID, Account: fsm.Account{Name: accountName, Kind: fsm.KindUser}, Token: fsm.Token{Accessor: "t1", Account: accountName, Hash: []byte("hash")}})
	w.mend()
}

// mend makes what is not there, or not there any more.
func (w *world) mend() {
	var environment, connection, secret bool
	must(w.truth.View(func(v *fsm.View) error {
		_, environment = v.Environment(environmentName)
		_, connection = v.Connection(connectionName)
		_, secret = v.Secret(secretName)
		return nil
	}))
	if !environment {
		w.mustMeddle(&fsm.CreateEnvironment{Name: environmentName})
	}
	if !connection {
		w.mustMeddle(&fsm.CreateConnection{Name: connectionName, Provider: "fake", Environments: []fsm.Pattern{"payments/*"}, Settings: w.settings(w.systems), Sealed: []byte(`{"password":"root"}`)})
	}
	if !secret {
		// Refused while what it belongs to is being deleted.
		w.meddle(&fsm.CreateSecret{Name: secretName, Connection: connectionName, Options: []byte("{}"), DefaultTTL: defaultTTL, MaxTTL: maxTTL, Outputs: []fsm.Output{{Key: "DB_USER", Source: "username"}, {Key: "DB_PASSWORD", Source: "password"}}})
	}
}

// keepMended has what is deleted made anew, a while later.
func (w *world) keepMended() {
	if !w.mended {
		w.mended = true
		w.every(1500*time.Millisecond, w.mend)
	}
}

func (w *world) every(d time.Duration, do func()) {
	w.after(d, func() {
		do()
		w.every(d, do)
	})
}

// meddle commits a command of somebody else, whoever leads.
func (w *world) meddle(body fsm.Body) *fsm.Result {
	c, err := fsm.NewCommand(body, time.Now(), fsm.Actor{Account: operatorName}, 0)
	must(err)
	data, err := c.Encode()
	must(err)
	result := w.append(data)
	w.check.changed()
	return result
}

func (w *world) mustMeddle(body fsm.Body) {
	if r := w.meddle(body); r.Refusal != nil {
		panic(r.Refusal)
	}
}

// disable has an administrator disable the secret for a while.
func (w *world) disable() {
	set := func(disabled bool) { w.meddle(&fsm.UpdateSecret{Name: secretName, Disabled: &disabled}) }
	set(true)
	w.after(2*time.Second, func() { set(false) })
}

// disableAccount has an administrator disable the clients' account for a while, with its leases revoked.
func (w *world) disableAccount() {
	yes, no := true, false
	w.meddle(&fsm.UpdateAccount{Name: accountName, Disabled: &yes, Revoke: &fsm.Revocation{Operation: fsm.CreateOperation{
		ID: w.newOperation(), Kind: fsm.OperationRevoke, Selector: fsm.LeaseSelector{Account: accountName},
	}}})
	w.after(2*time.Second, func() { w.meddle(&fsm.UpdateAccount{Name: accountName, Disabled: &no}) })
}

// delete has an administrator delete something with its leases.
func (w *world) delete(noun fsm.TargetNoun, name string) {
	if noun == fsm.TargetAccount {
		w.noAccount.Store(true)
	}
	w.meddle(&fsm.CreateOperation{ID: w.newOperation(), Kind: fsm.OperationDelete, Target: fsm.Target{Noun: noun, Name: name}})
	w.keepMended()
}

func (w *world) newOperation() fsm.OperationID {
	w.deletions++
	return fsm.OperationID(fmt.Sprintf("operation%d", w.deletions))
}

// changeConnection has an administrator change how the outside system is reached, or point the connection
// at another one.
func (w *world) changeConnection(replace bool) {
	var now fsm.Connection
	must(w.truth.View(func(v *fsm.View) error { now, _ = v.Connection(connectionName); return nil }))
	next := w.systems
	if replace {
		next++
	}
	r := w.meddle(&fsm.UpdateConnection{Name: connectionName, System: &fsm.SystemUpdate{
		New: replace, Number: now.System, Settings: w.settings(next), Sealed: []byte(`{"password":"root"}`),
	}})
	if r.Refusal == nil { // it is there
		w.systems = next
	}
}

// system names the outside system that the connection points at now.
func (w *world) system() string { return systemName(w.systems) }

func (w *world) settings(system int) []byte {
	return fmt.Appendf(nil, `{"system":%q}`, systemName(system))
}

func systemName(number int) string { return fmt.Sprintf("s%d", number) }

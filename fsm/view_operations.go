package fsm

// NewestOperations returns up to limit operations, newest first, beginning after the one named; when a
// state is given, of that state only.
func (v *View) NewestOperations(state OperationState, after OperationID, limit int) []Operation {
	var list []Operation
	if limit <= 0 {
		return nil
	}
	visit := func(id []byte) bool {
		if o, ok := v.Operation(OperationID(id)); ok {
			list = append(list, o)
		}
		return len(list) < limit
	}
	if state != "" {
		eachRow(v.tx, "operations_by_state", []byte(state), []byte(after), true, visit)
		return list
	}
	c := v.tx.Bucket([]byte(operations.bucket)).Cursor()
	for k := seekBefore(c, nil, []byte(after)); k != nil && visit(k); k, _ = c.Prev() {
		continue
	}
	return list
}

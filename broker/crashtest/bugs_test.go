package crashtest

// bugs are deliberate ones, at the seams of the engine.
type bugs struct {
	noBarrier             bool // a new leader begins before it has applied what was committed
	renewByUpsert         bool // the outside system makes a login that is to be renewed and is not there
	dropIfExistsIsAbsence bool // absence is believed though a create is open
}

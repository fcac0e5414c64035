package fsm

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of the state machine's clock. They are part of the log's format: nodes that differed in
// them would disagree about what a command did.
const (
	// MaxClockStep is how far one command may move the clock without the agreement of other clocks.
	MaxClockStep = time.Minute

	// ClockTolerance is how far apart two clocks may be and still count as saying the same.
	ClockTolerance = 2 * time.Second
)

// maxInstant is the last instant that RFC 3339 can write.
const maxInstant = Instant(253_402_300_799_999)

// ClockReading is what the clock of one voter said when a command was stamped.
type ClockReading struct {
	Node string  `cbor:"1,keyasint"`
	At   Instant `cbor:"2,keyasint"`
}

// AdvanceClock moves the clock to To, by more than MaxClockStep only if most of the voters' clocks have
// come to that time as well. A leader proposes it from time to time, so that the clock of an idle
// cluster does not fall behind, and before its first command after a longer pause. Value: ClockStep.
type AdvanceClock struct {
	To       Instant        `cbor:"1,keyasint"`
	Voters   int            `cbor:"2,keyasint,omitempty"` // how many there are, answered or not
	Readings []ClockReading `cbor:"3,keyasint,omitempty"` // the leader's own included
	Stepped  time.Duration  `cbor:"4,keyasint,omitempty"` // by how much the leader saw its machine's clock set
}

// ClockStep is what AdvanceClock did.
type ClockStep struct {
	From, To Instant
}

// RepairClock sets a clock back that went ahead of the time: the one command that does. Most of the
// voters' clocks must say To. What was made in the time that never was moves with the clock; see
// DESIGN.md. A clock that is not ahead stays as it is. Value: ClockRepair.
type RepairClock struct {
	To       Instant        `cbor:"1,keyasint"`
	Reason   string         `cbor:"2,keyasint"`
	Voters   int            `cbor:"3,keyasint"`
	Readings []ClockReading `cbor:"4,keyasint"`
}

// ClockRepair is what RepairClock did. From equals To when nothing needed repair.
type ClockRepair struct {
	From, To Instant
	Leases   uint64 // whose ends were moved
	Tokens   uint64 // likewise
}

func (*AdvanceClock) commandType() CommandType { return TypeAdvanceClock }
func (*RepairClock) commandType() CommandType  { return TypeRepairClock }

// Reached returns the voters whose clocks have come to an instant, and whether they are most of them.
// Clocks that are ahead count: the lowest of a majority decides, so that a minority can neither push the
// clock ahead nor hold it up.
func Reached(at Instant, voters int, readings []ClockReading) (names []string, most bool) {
	return agreeing(voters, readings, func(r ClockReading) bool { return r.At >= at.Add(-ClockTolerance) })
}

// Saying returns the voters whose clocks say an instant, and whether they are most of them.
func Saying(at Instant, voters int, readings []ClockReading) (names []string, most bool) {
	return agreeing(voters, readings, func(r ClockReading) bool {
		return r.At >= at.Add(-ClockTolerance) && r.At <= at.Add(ClockTolerance)
	})
}

func agreeing(voters int, readings []ClockReading, agrees func(ClockReading) bool) (names []string, most bool) {
	for _, r := range readings {
		if agrees(r) {
			names = append(names, r.Node)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names, len(names) > voters/2
}

// moveClock moves the clock to a command's stamp: forward, never back. A guarded command that would
// move it further than MaxClockStep is refused.
func (t *txn) moveClock(c Command, term uint64) *Refusal {
	switch {
	case c.Type == TypeAdvanceClock || c.Type == TypeRepairClock:
		return nil // they say where to by themselves
	case c.Guarded && c.Term != 0 && c.Term != term:
		return nil // refused for another reason; the stamp of a deposed leader means nothing
	case c.Guarded && t.meta.Clock != 0 && c.At > t.meta.Clock.Add(MaxClockStep):
		return stepRefused(t.meta.Clock, c.At)
	}
	t.meta.Clock = max(t.meta.Clock, c.At)
	return nil
}

func stepRefused(from, to Instant) *Refusal {
	return &Refusal{Code: CodeClockStepRefused, Message: fmt.Sprintf(
		"the leader's clock says %s, the ledger's %s: a step of more than %s needs the clocks of most nodes to agree", to, from, FormatTTL(MaxClockStep))}
}

func applyAdvanceClock(t *txn, c *AdvanceClock) (ClockStep, *Refusal) {
	step := ClockStep{From: t.now(), To: max(t.now(), c.To)}
	far := t.now() != 0 && c.To > t.now().Add(MaxClockStep)
	names, most := Reached(c.To, c.Voters, c.Readings)
	switch {
	case c.To > maxInstant:
		return step, &Refusal{Code: CodeInvalid, Field: "to", Message: "no clock goes beyond the year 9999"}
	case far && !most:
		return step, stepRefused(t.now(), c.To)
	}
	t.meta.Clock = step.To
	if far || c.Stepped != 0 {
		t.record(Event{Type: EventClockStepped, Subject: "clock", Details: clockDetails(step, names, c.Voters, map[string]string{
			"stepped": stepText(c.Stepped),
		})})
	}
	return step, nil
}

func stepText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Truncate(time.Millisecond).String()
}

// clockDetails adds what both clock commands tell to the details of an event, and drops empty ones.
func clockDetails(step ClockStep, names []string, voters int, details map[string]string) map[string]string {
	details["from"], details["to"] = step.From.String(), step.To.String()
	details["confirmed_by"] = strings.Join(names, " ")
	details["voters"] = strconv.Itoa(cmp.Or(voters, 1))
	for k, v := range details {
		if v == "" {
			delete(details, k)
		}
	}
	return details
}

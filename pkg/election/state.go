package election

import "slices"

// State is where an elector stands.
type State int32

const (
	// StateStandby is the first state: the elector competes for the Lease, or has not been started.
	StateStandby State = iota
	// StateLeading means that this process holds the Lease and its term is running.
	StateLeading
	// StateDraining means that the elector has been asked to stop while leading: it goes on
	// renewing until the leader's function has returned.
	StateDraining
	// StateReleased means that the leader's function has returned and the Lease was given up.
	StateReleased
	// StateLost means that the term ended against the elector's will.
	StateLost
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case StateStandby:
		return "standby"
	case StateLeading:
		return "leading"
	case StateDraining:
		return "draining"
	case StateReleased:
		return "released"
	case StateLost:
		return "lost"
	default:
		return "unknown"
	}
}

// next returns the states that may follow s. The last two lead back to standby because Run may be
// called again.
func (s State) next() []State {
	switch s {
	case StateStandby:
		return []State{StateLeading}
	case StateLeading:
		return []State{StateDraining, StateReleased, StateLost}
	case StateDraining:
		return []State{StateReleased, StateLost}
	case StateReleased, StateLost:
		return []State{StateStandby}
	default:
		return nil
	}
}

// allows reports whether s may be followed by to.
func (s State) allows(to State) bool { return slices.Contains(s.next(), to) }

package compose

import "time"

// Foreseen is what Activate would find, see Foresee.
type Foreseen struct {
	Activation
	// Known is true when there is a record of the definition, under its id of now or before.
	Known bool
	// IsChange is true when what the definition deletes is not counted by its brake: the file has
	// changed it, just now or a short time ago.
	IsChange bool
}

// Foresee says what Activate would find with these records, and records nothing.
func Foresee(records map[string]Record, id string, scope Scope) Foreseen {
	before, known := records[id]
	for _, former := range scope.Formerly {
		if record, ok := records[former]; ok {
			before, known = before.merge(former, record, known), true
		}
	}
	_, found := before.activate(scope)
	return Foreseen{Activation: found, Known: known, IsChange: !found.Changed.IsZero()}
}

// Abandoned returns what there is to do about the definition of a record that is gone from the
// file.
func (r Record) Abandoned() (left []Scope) {
	for _, scope := range r.remove(time.Now()).Left {
		if !scope.Done {
			left = append(left, scope)
		}
	}
	return left
}

// BrakeAllows returns how many of the children of a definition may be deleted within the time of
// the brake, where neither their parents are deleted nor the definition has changed.
func BrakeAllows(children int) int { return max(brakeFloor, children/brakeShare) }

// IsBraked reports whether the brake counts deletions of a kind.
func IsBraked(id ChildID) bool { return id.Kind != ofRevisions }

// ShareShape makes r go by what another Reconciler of the same definition finds out about the
// status of the parents' kind, so that this is asked for once.
func ShareShape(r, other *Reconciler) { r.status.shape = other.status.shape }

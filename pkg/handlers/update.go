package handlers

// Update says how a child that exists is changed when what it should be has changed.
type Update string

// The ways of a change.
const (
	// UpdateInPlace changes the object.
	UpdateInPlace Update = "inPlace"
	// UpdateRecreate changes the object, and where the API server refuses that as invalid and would
	// take the same as a new object, deletes it, waits until it is gone, and makes it anew. An
	// object that is refused for another reason, as by a policy, a quota, or because it is invalid
	// by itself, is left as it is. See AllowDataLoss.
	UpdateRecreate Update = "recreate"
	// UpdateOnDelete leaves the object as it is until somebody deletes it, and then makes it as it
	// should be.
	UpdateOnDelete Update = "onDelete"
	// UpdateCreateOnly makes the object when it is absent, and never changes it: neither when what
	// it should be changes, nor when another party changes it. Only the marks are kept.
	UpdateCreateOnly Update = "createOnly"
)

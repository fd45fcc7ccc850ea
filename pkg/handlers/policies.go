package handlers

// Policies are the fields by which a config says how children are kept: a plugin embeds them in
// what its config has for each child, so that the words are the same everywhere. They mean what the
// fields of ChildPolicy of these names mean, and have its defaults.
type Policies struct {
	Drift         Drift     `json:"drift,omitempty"`
	Conflicts     Conflicts `json:"conflicts,omitempty"`
	Update        Update    `json:"update,omitempty"`
	AllowDataLoss bool      `json:"allowDataLoss,omitempty"`
	Adopt         Adopt     `json:"adopt,omitempty"`
	AdoptFrom     []string  `json:"adoptFrom,omitempty"`
	WhenGone      WhenGone  `json:"whenGone,omitempty"`
	Ignore        []string  `json:"ignore,omitempty"`
	Prune         bool      `json:"prune,omitempty"`
}

// ChildPolicy returns the policy of a child. Its slices are those of p.
func (p Policies) ChildPolicy() ChildPolicy {
	return ChildPolicy{
		Drift: p.Drift, Conflicts: p.Conflicts, Update: p.Update, AllowDataLoss: p.AllowDataLoss, Adopt: p.Adopt,
		AdoptFrom: p.AdoptFrom, WhenGone: p.WhenGone, Ignore: p.Ignore, Prune: p.Prune,
	}
}

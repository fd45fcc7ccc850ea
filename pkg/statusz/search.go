package statusz

// Found is the answer to a search, as /search?format=json gives it.
type Found struct {
	// Version is that of this form: Version.
	Version string `json:"version"`
	// Query is the text that was searched for.
	Query string `json:"query"`
	// Objects are those whose KIND/NAMESPACE/NAME contains it, at most fifty.
	Objects []ObjectRef `json:"objects"`
	// More says that there are others.
	More bool `json:"more,omitempty"`
}

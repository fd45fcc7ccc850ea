package statusz

import "context"

// Reporter makes reports. It is safe for concurrent use, and answers from memory: it asks the API
// server for nothing. What it returns is the caller's own.
type Reporter interface {
	// Report returns the whole. Its lists of objects have at most so many items.
	Report(ctx context.Context, items Items) *Report
	// Object returns what is known of one object; false if no definition watches its kind and it
	// is nobody's child. An empty APIVersion means any.
	Object(ctx context.Context, object ObjectRef) (*ObjectReport, bool)
	// Search returns objects of all sources whose KIND/NAMESPACE/NAME contains the text, without
	// regard to case, at most limit of them; more says that there are others.
	Search(ctx context.Context, text string, limit int) (found []ObjectRef, more bool)
}

// Package config turns files into a checked, immutable Config, and every mistake in them into a
// Diagnostic with its file, line and column. It reads CUE, YAML and JSON by one schema, the
// embedded package schemas.
//
// A mistake is explained in the words of the file and never by the text of a CUE error alone; all
// mistakes of a file are reported at once. What CUE accepts is never refused by the explanation:
// CUE decides, and only what it refuses is explained.
//
// It contacts nothing and starts nothing: whether the watched kinds exist is for the engine to find
// out.
//
//	cfg, err := config.Load(ctx, []string{"controllers.cue"}, config.Options{Registry: registry})
package config

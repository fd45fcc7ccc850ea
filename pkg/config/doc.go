// Package config turns files into a checked, immutable Config, and every mistake in them into a Diagnostic with its
// file, line and column. It reads CUE, YAML and JSON by one schema, the embedded package schemas.
//
// It contacts nothing and starts nothing: whether the watched kinds exist is for the engine to find out.
//
//	cfg, err := config.Load(ctx, []string{"controllers.cue"}, config.Options{Registry: registry})
package config

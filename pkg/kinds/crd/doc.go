// Package crd has the custom kinds that a config declares, as CustomResourceDefinitions: it fills
// in what is left out, checks schemas as the API server does, and compares two versions of a kind.
// It installs nothing, and knows neither CUE nor the config language.
//
//	problems := crd.CheckSchema(schema)
package crd

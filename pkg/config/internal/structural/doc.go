// Package structural makes structural OpenAPI schemas, as CustomResourceDefinitions have them, of
// schemas in CUE. What cannot be one is refused with its place. It does not check what follows from
// several fields, such as the keys of lists; that is pkg/kinds/crd.
//
//	schema, problems := structural.Of(value)
package structural

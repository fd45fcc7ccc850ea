package handlers

// ConfigError is an error of a composer that names the part of the plugin's config that it is
// about, so that its place in the file can be shown.
type ConfigError struct {
	// Path is where that is, from the plugin's config on, as in Problem.
	Path string
	// Err is the error.
	Err error
}

// Error is that of Err: the path is not for conditions.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

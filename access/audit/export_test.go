package audit

// At returns a log that reads the files at another path.
func At(l *Log, path string) *Log {
	config := l.config
	config.Path = path
	return &Log{config: config, reading: make(chan struct{}, maxReads)}
}

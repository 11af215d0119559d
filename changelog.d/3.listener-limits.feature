A listener may have limits of its own: `[[listeners]] limits = { header_deadline = "5s" }`.

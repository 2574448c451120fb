remember {{ recorded.verified }} {{ sha256 }}{% if inventory %} {{ recorded.inventory }} {{ inventory }}{% endif %}
